"""What a user's script touches. Light to import; never knows a job store or a batch system."""
