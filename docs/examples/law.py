"""The law of serial elision, and its limits."""

import os

import moil


# [law]
@moil.job
def double(number: int) -> int:
    return 2 * number


@moil.job
def main(number: int) -> list[int]:
    return [double(number), double(double(number))]
# [/law]


# [copies]
@moil.job
def add(items: list[int], item: int) -> list[int]:
    items.append(item)
    return items


@moil.job
def both() -> list[list[int]]:
    items = [1]
    longer = add(items, 2)
    return [items, longer]
# [/copies]


# [directory]
@moil.job
def is_at_home(home: str) -> bool:
    return os.getcwd() == home
# [/directory]


if __name__ == "__main__":
    # [compare]
    print(main(3), moil.run(main, 3, progress=False))
    print(both(), moil.run(both, progress=False))
    print(is_at_home(os.getcwd()), moil.run(is_at_home, os.getcwd(), progress=False))
    # [/compare]
