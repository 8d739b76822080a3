"""Started by ``python -m analysis.main`` anywhere, with the directory above this package on PYTHONPATH."""

import subprocess
import sys
from typing import Any

import moil
from library.units import to_kelvin


@moil.job
def convert(celsius: float) -> float:
    return to_kelvin(celsius)


@moil.job
def from_outside(celsius: float) -> float:
    """A program that the job starts finds the same code, since PYTHONPATH names the copies."""
    words = [sys.executable, "-m", "library.units", str(celsius)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, sys.modules["library.units"].__file__]}


@moil.job
def main(celsius: float = 20.0) -> dict[str, Any]:
    """Convert CELSIUS."""
    return {"kelvin": convert(celsius), "outside": from_outside(celsius), "where": seen()}


if __name__ == "__main__":
    moil.main(main)
