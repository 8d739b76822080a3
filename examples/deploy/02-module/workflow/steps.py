"""Imported by a relative import."""

import moil
from utils.case import capital


@moil.job
def title(words: str) -> str:
    return capital(words.split(maxsplit=1)[0])
