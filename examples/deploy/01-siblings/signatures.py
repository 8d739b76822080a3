"""Imported by a job only."""

from formats.upper import spelled


def sign(name: str) -> str:
    """The name as it is signed."""
    return f"-- {spelled(name)}"
