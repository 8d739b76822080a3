"""The words that start a run again: what a message or `moil status` tells the user to type."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence


def resume_words(command: Sequence[str], locator: str, directory: str) -> list[str]:
    """The words that began the run in `directory`, made to resume it; behind ``--`` nothing is an option."""
    if not command:
        return []
    words = list(command)
    place = words.index("--") if "--" in words else len(words)
    options = words[:place]
    if "--restart" not in options:
        options.append("--restart")
    if os.path.abspath(os.path.join(directory, _store_in(options) or os.devnull)) != locator:
        options += ["--job-store", locator]
    return options + words[place:]


def _store_in(options: Sequence[str]) -> str:
    """The value of ``--job-store``, or of Toil's ``--jobStore``; of several the last one counts."""
    found = ""
    for word, following in itertools.pairwise([*options, ""]):
        if word in ("--job-store", "--jobStore"):
            found = following
        elif word.startswith(("--job-store=", "--jobStore=")):
            found = word.partition("=")[2]
    return found
