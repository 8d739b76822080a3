"""Auto-deployment: what a program is made of, found at home, frozen for the run, and rebuilt where it is to run."""
