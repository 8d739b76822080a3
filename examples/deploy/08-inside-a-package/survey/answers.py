"""Imported by its own name, since the script's directory is on the path."""


def read() -> list[str]:
    """All answers."""
    from forms import ANSWERS

    return ANSWERS.split()
