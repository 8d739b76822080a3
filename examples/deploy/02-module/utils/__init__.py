"""Beside ``workflow``, and not a part of it."""
