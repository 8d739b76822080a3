"""Something to look at: a run in which one job fails, and another never starts."""

import moil


# [jobs]
@moil.job(memory="64 MiB", retries=0)
def sample(number: int) -> int:
    print("weighing sample", number)
    if number == 2:
        raise ValueError("the scales are empty")
    return number


@moil.job(memory="64 MiB")
def total(weights: list[int]) -> int:
    return sum(weights)


@moil.job(memory="64 MiB")
def main() -> int:
    """Weigh four samples."""
    return total([sample(number) for number in range(4)])
# [/jobs]


if __name__ == "__main__":
    moil.main(main)
