"""Started by ``python -m workflow.main`` in the directory above, which holds a second package, ``utils``."""

from typing import Any

import moil
from utils import text

from . import steps


@moil.job
def count(words: str) -> int:
    return text.count(words)


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, steps.__file__, text.__file__]}


@moil.job
def main(words: str = "the quick brown fox jumps over the lazy dog") -> dict[str, Any]:
    """Count WORDS."""
    return {"title": steps.title(words), "words": count(words), "package": __package__, "where": seen()}


if __name__ == "__main__":
    moil.main(main)
