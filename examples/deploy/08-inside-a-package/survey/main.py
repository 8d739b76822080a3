"""Started by ``python survey/main.py``: a script inside a package. Its own directory is on the import path, as always."""

from pathlib import Path
from typing import Any

import answers
import moil


@moil.job
def count(word: str) -> int:
    return answers.read().count(word)


@moil.job
def questions() -> int:
    """What is found relative to the script, one level up, is there as well."""
    outer = Path(__file__).resolve().parent.parent
    return (outer / "survey" / "forms" / "questions.txt").read_text(encoding="utf-8").count("?")


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, answers.__file__]}


@moil.job
def main(word: str = "yes") -> dict[str, Any]:
    """Count the answers that are WORD."""
    return {"answers": count(word), "questions": questions(), "where": seen()}


if __name__ == "__main__":
    moil.main(main)
