"""What can be done with a promise, and what cannot."""

from dataclasses import dataclass

import moil


@dataclass
class Stats:
    mean: float
    extremes: tuple[float, float]


# [parts]
@moil.job
def describe(numbers: list[float]) -> Stats:
    return Stats(sum(numbers) / len(numbers), (min(numbers), max(numbers)))


@moil.job
def split(numbers: list[float]) -> tuple[list[float], list[float]]:
    middle = len(numbers) // 2
    return numbers[:middle], numbers[middle:]


@moil.job
def show(title: str, **facts: object) -> str:
    return f"{title}: " + ", ".join(f"{name} {fact}" for name, fact in facts.items())


@moil.job
def parts(numbers: list[float]) -> list[str]:
    left, right = split(numbers)  # annotated tuple[X, Y], so it unpacks
    found = describe(left)
    return [
        show("left", mean=found.mean, highest=found.extremes[1]),  # parts of a promise are promises
        show("right", all=describe(right)),  # a promise may sit anywhere in an argument
    ]
# [/parts]


# [wrong]
@moil.job
def wrong(numbers: list[float]) -> str:
    found = describe(numbers)
    return "high" if found.mean > 3 else "low"
# [/wrong]


# [right]
@moil.job
def judge(found: Stats) -> str:
    return "high" if found.mean > 3 else "low"


@moil.job
def right(numbers: list[float]) -> str:
    return judge(describe(numbers))


@moil.job
def right_now(numbers: list[float]) -> str:
    found = describe.fn(numbers)  # no child: the function, here and now
    return "high" if found.mean > 3 else "low"
# [/right]


if __name__ == "__main__":
    numbers = [1.0, 3.0, 4.0, 8.0]
    for job in (parts, right, right_now):
        print(job.name, moil.run(job, numbers, progress=False))
    try:
        moil.run(wrong, numbers, progress=False, retries=0)
    except moil.MoilError as error:
        print(error)
