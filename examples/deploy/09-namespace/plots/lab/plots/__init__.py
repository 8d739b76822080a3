"""A regular package in a namespace."""


def bars(values: list[int]) -> str:
    """A bar for each."""
    return " ".join("#" * value for value in values)
