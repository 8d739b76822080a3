"""What an environment has: versions, native code, data files, console scripts, entry points."""

import subprocess
from importlib.metadata import entry_points, version
from typing import Any

import moil
import msgspec


@moil.job
def weigh(crop: str) -> int:
    """By a console script, which is on PATH."""
    words = ["harvest-weigh", crop]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


@moil.job
def price(crop: str, tons: int) -> int:
    """By a plug-in."""
    (found,) = entry_points(group="harvest.crops", name=crop)
    return found.load().price * tons


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, msgspec.__file__, msgspec._core.__file__]}  # noqa: SLF001 - native code


@moil.job
def main() -> dict[str, Any]:
    """What the harvest is worth."""
    crops = ("rye", "oats")
    worth = {crop: price(crop, weigh(crop)) for crop in crops}
    return {"worth": worth, "version": installed(), "packed": packed(crops), "where": seen()}


@moil.job
def installed() -> str:
    return version("harvest")


@moil.job
def packed(crops: tuple[str, ...]) -> str:
    return msgspec.msgpack.encode(crops).hex()


def start() -> None:
    """The console script."""
    moil.main(main)
