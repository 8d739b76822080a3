"""Found by their entry points."""


class Rye:
    """Rye."""

    price = 3


class Oats:
    """Oats."""

    price = 2
