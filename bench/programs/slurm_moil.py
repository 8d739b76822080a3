"""Moil on Slurm: N jobs that return their argument, and one that sums. The options of Moil follow N."""

import moil

SMALL = {"cores": 1, "memory": "100 MiB", "disk": "1 MiB"}


@moil.job(**SMALL)
def noop(i):
    return i


@moil.job(**SMALL)
def total(numbers):
    return sum(numbers)


@moil.job(**SMALL)
def fan(n: int):
    """The sum of the numbers below N."""
    return total([noop(i) for i in range(n)])


if __name__ == "__main__":
    moil.main(fan)
