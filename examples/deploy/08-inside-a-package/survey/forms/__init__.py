"""Imported late."""

ANSWERS = "yes no yes"
