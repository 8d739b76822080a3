"""A package in the archive."""
