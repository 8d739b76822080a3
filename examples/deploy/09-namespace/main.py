"""One namespace, ``lab``, whose parts lie in two directories on PYTHONPATH. Neither has an ``__init__.py``."""

from typing import Any

import lab
import lab.plots
import lab.reads
import moil


@moil.job
def plot(reads: list[int]) -> str:
    return lab.plots.bars(reads)


@moil.job
def read() -> list[int]:
    return lab.reads.read()


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, lab.plots.__file__, lab.reads.__file__], "parts": len(list(lab.__path__))}


@moil.job
def main() -> dict[str, Any]:
    """Plot what was read."""
    return {"plot": plot(read()), "where": seen()}


if __name__ == "__main__":
    moil.main(main)
