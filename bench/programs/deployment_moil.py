"""Ten jobs that say when their first line ran, and import what the case is about. Arguments: MARKS MODULES."""

import importlib
import sys
import time
from pathlib import Path

import moil

HERE = Path(__file__).parent
SIBLINGS = [importlib.import_module(path.stem) for path in sorted(HERE.glob("helper*.py"))]


def mark(marks: str) -> None:
    with open(marks, "a") as file:
        file.write(f"{time.time()} {__file__} {sum(one.VALUE for one in SIBLINGS)}\n")


@moil.job(cores=1, memory="400 MiB")
def child(marks: str, modules: str, number: int) -> int:
    mark(marks)
    for name in modules.split(",") if modules else ():
        importlib.import_module(name)
    return number


@moil.job(cores=1, memory="100 MiB")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@moil.job(cores=1, memory="100 MiB")
def main(marks: str, modules: str = "") -> int:
    mark(marks)
    return total([child(marks, modules, number) for number in range(10)])


if __name__ == "__main__":
    sys.stdout.write("RESULT ")
    moil.main(main)
