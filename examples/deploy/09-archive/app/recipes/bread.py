"""Imported by a name that is put together at run time."""


def bake() -> str:
    """It."""
    return "a loaf"
