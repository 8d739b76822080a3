"""The warmest month of each place."""

import csv

import moil
from moil import File


# [warmest]
@moil.job
def warmest(table: File) -> tuple[str, float]:
    """The warmest month, and how warm it was."""
    with table.path().open() as lines:
        months = [(row["month"], float(row["celsius"])) for row in csv.DictReader(lines)]
    return max(months, key=lambda month: month[1])
# [/warmest]


# [report]
@moil.job
def report(found: dict[str, tuple[str, float]]) -> str:
    """One line for each place."""
    return "\n".join(f"{name:12} {month} {celsius:5.1f}" for name, (month, celsius) in found.items())


@moil.job
def main(tables: list[File]) -> str:
    """Find the warmest month of each of TABLES."""
    return report({table.name: warmest(table) for table in tables})


if __name__ == "__main__":
    moil.main(main)
# [/report]
