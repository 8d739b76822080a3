"""The warmest month of each place."""

import csv
import sys
from pathlib import Path


def warmest(table: Path) -> tuple[str, float]:
    """The warmest month, and how warm it was."""
    with table.open() as lines:
        months = [(row["month"], float(row["celsius"])) for row in csv.DictReader(lines)]
    return max(months, key=lambda month: month[1])


def report(found: dict[str, tuple[str, float]]) -> str:
    """One line for each place."""
    return "\n".join(f"{name:12} {month} {celsius:5.1f}" for name, (month, celsius) in found.items())


def main(tables: list[Path]) -> str:
    """Find the warmest month of each of TABLES."""
    return report({table.name: warmest(table) for table in tables})


if __name__ == "__main__":
    print(main([Path(word) for word in sys.argv[1:]]))
