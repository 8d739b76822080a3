"""Code from three directories: this one, and two on PYTHONPATH. The order decides which ``settings`` is meant."""

import subprocess
import sys
from typing import Any

import moil
import settings
from shapes.area import of_circle


@moil.job
def area(radius: float) -> float:
    return of_circle(radius)


@moil.job
def whose() -> dict[str, str]:
    """Which of two modules of one name is found, here and in a program that a job starts."""
    words = [sys.executable, "-c", "import settings; print(settings.WHOSE)"]
    outside = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    return {"here": settings.WHOSE, "outside": outside}


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, settings.__file__, sys.modules["shapes.area"].__file__]}


@moil.job
def main(radius: float = 2.0) -> dict[str, Any]:
    """The area of a circle."""
    return {"area": area(radius), "whose": whose(), "where": seen()}


if __name__ == "__main__":
    moil.main(main)
