"""Read in place."""


def decide(number: int) -> str:
    """Odd or even."""
    return "odd" if number % 2 else "even"
