"""One way to spell."""


def spelled(name: str) -> str:
    """In capitals."""
    return name.upper()
