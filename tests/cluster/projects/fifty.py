"""Many jobs that start at once on a few machines, from a package of their own."""

import os

import moil
from parts.one import VALUE as ONE
from parts.two import VALUE as TWO


@moil.job(cores=0.1, memory="20 MiB")
def where(number: int) -> tuple[str, int]:
    return os.uname().nodename, number + ONE + TWO


@moil.job
def total(found: list[tuple[str, int]]) -> list[object]:
    return [sorted({host for host, _ in found}), sum(number for _, number in found)]


@moil.job
def main(count: int = 50) -> list[object]:
    return total([where(number) for number in range(count)])


if __name__ == "__main__":
    moil.main(main)
