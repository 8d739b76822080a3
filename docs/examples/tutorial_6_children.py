"""The mean of each quarter of a year, for each place."""

import csv
from collections import defaultdict
from statistics import mean

import moil
from moil import File


# [quarters]
@moil.job(memory="64 MiB")
def quarter(name: str, celsius: list[float]) -> str:
    """A line about one quarter."""
    return f"{name} {mean(celsius):5.1f}"


@moil.job(memory="64 MiB")
def place(table: File) -> list[str]:
    """A line for each quarter of which there is a reading."""
    quarters = defaultdict(list)
    with table.path().open() as lines:
        for row in csv.DictReader(lines):
            if row["celsius"]:
                year, month = row["month"].split("-")
                quarters[f"{year} Q{(int(month) + 2) // 3}"].append(float(row["celsius"]))
    return [quarter(name, celsius) for name, celsius in quarters.items()]


@moil.job(memory="64 MiB")
def main(tables: list[File]) -> dict[str, list[str]]:
    """Find the mean of each quarter, for each of TABLES."""
    return {table.name: place(table) for table in tables}
# [/quarters]


if __name__ == "__main__":
    moil.main(main)
