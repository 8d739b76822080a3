"""A script that says what it needs. ``moil run script.py`` makes the environment, and ships it."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["tabulate>=0.9"]
# ///

from importlib.metadata import version
from typing import Any

import moil
import tabulate


@moil.job
def table(rows: list[list[str]]) -> list[str]:
    return tabulate.tabulate(rows, headers="firstrow").splitlines()


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, tabulate.__file__], "version": version("tabulate")}


@moil.job
def main() -> dict[str, Any]:
    """Lay out a table."""
    return {"table": table([["tree", "age"], ["oak", "300"], ["birch", "60"]]), "where": seen()}


if __name__ == "__main__":
    moil.main(main)
