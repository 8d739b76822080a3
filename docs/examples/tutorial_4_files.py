"""The warmest month of each place, as a table."""

import csv
from pathlib import Path

import moil
from moil import File


@moil.job(cores=1, memory="128 MiB", walltime="5 min", retries=2)
def warmest(table: File) -> tuple[str, float]:
    """The warmest month, and how warm it was."""
    with table.path().open() as lines:
        months = [(row["month"], float(row["celsius"])) for row in csv.DictReader(lines)]
    return max(months, key=lambda month: month[1])


# [save]
@moil.job(memory="64 MiB")
def report(found: dict[str, tuple[str, float]]) -> File:
    """A CSV file with one line for each place."""
    target = moil.current().scratch / "warmest.csv"
    with target.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["place", "month", "celsius"])
        writer.writerows([Path(name).stem, month, celsius] for name, (month, celsius) in found.items())
    return File.save(target)


@moil.job(memory="64 MiB")
def main(tables: list[File]) -> File:
    """Find the warmest month of each of TABLES; write warmest.csv."""
    return report({table.name: warmest(table) for table in tables})
# [/save]


if __name__ == "__main__":
    moil.main(main)
