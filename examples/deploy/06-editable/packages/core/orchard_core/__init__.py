"""Another project of the workspace."""
