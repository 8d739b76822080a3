"""Typed in, not stored: ``python - < program.py``. There is no file that a worker could import, so functions travel."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import moil


@dataclass(frozen=True)
class Point:
    """A class of the program's, which travels both ways."""

    x: int
    y: int

    def moved(self, by: int) -> "Point":
        """A point on the diagonal through this one."""
        return Point(self.x + by, self.y + by)


@moil.job
def apply(function: Callable[[Point], Point], point: Point) -> Point:
    return function(point)


@moil.job
def origins(point: Point) -> str:
    return type(point).__module__


def by(amount: int) -> Callable[[Point], Point]:
    """A closure."""
    return lambda point: point.moved(amount)


@moil.job
def main(start: Point) -> dict[str, object]:
    moved = apply(by(3), apply(lambda point: point.moved(1), start))
    return {"moved": moved, "module": origins(moved)}


if __name__ == "__main__":
    found = moil.run(main, Point(1, 2))
    moved = found["moved"]
    print(json.dumps({"moved": [moved.x, moved.y], "is_ours": type(moved) is Point, "module": found["module"]}))
