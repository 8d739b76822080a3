"""A module that is a program too."""

import sys

ZERO = 273.15


def to_kelvin(celsius: float) -> float:
    """From degrees Celsius."""
    return round(celsius + ZERO, 2)


if __name__ == "__main__":
    print(to_kelvin(float(sys.argv[1])))
