"""Areas."""

import math

from settings import WHOSE


def of_circle(radius: float) -> float:
    """Rounded as the settings' owner likes it."""
    return round(math.pi * radius**2, 3 if WHOSE == "the first's" else 0)
