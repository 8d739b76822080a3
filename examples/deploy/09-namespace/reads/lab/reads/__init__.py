"""Another, in another directory."""

from importlib.resources import files


def read() -> list[int]:
    """From the data of the package."""
    return [int(word) for word in files("lab.reads").joinpath("reads.txt").read_text(encoding="utf-8").split()]
