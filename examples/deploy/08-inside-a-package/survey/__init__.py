"""The script lies in this package."""
