"""Reached by one module of the other package."""


def capital(word: str) -> str:
    """With a capital."""
    return word.capitalize()
