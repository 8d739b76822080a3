"""What may be the key of an object, for every job store alike."""

from __future__ import annotations

import re

from moil.errors import StoreError

_PART = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+"
_KEY = re.compile(f"{_PART}(?:/{_PART})*")


def is_key(text: str) -> bool:
    """Whether `text` is a relative POSIX path of ``[A-Za-z0-9._/-]`` without empty, ``.`` or ``..`` parts."""
    return _KEY.fullmatch(text) is not None


def check_key(key: str) -> None:
    """Raise StoreError unless `key` may be the key of an object."""
    if not is_key(key):
        raise StoreError(f"{key!r} is no key of a job store: use letters, digits and ._- in parts joined by single /")
