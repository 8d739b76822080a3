"""Jobs that say how many jobs their process has run before them."""

import moil

before: list[int] = []


# [tiny]
@moil.job(memory="64 MiB")
def tiny(number: int) -> int:
    """How many jobs have left something in this process."""
    before.append(number)
    return len(before) - 1
# [/tiny]


@moil.job(memory="64 MiB")
def main(jobs: int = 4) -> list[int]:
    """Run some tiny jobs."""
    return [tiny(number) for number in range(jobs)]


if __name__ == "__main__":
    moil.main(main)
