"""What may be the key of an object, for every job store alike."""

from __future__ import annotations

import re

from moil.errors import StoreError

_PART = re.compile(r"[A-Za-z0-9._-]+")


def is_key(text: str) -> bool:
    """Whether `text` is a relative POSIX path of ``[A-Za-z0-9._/-]`` without empty, ``.`` or ``..`` parts."""
    return all(_PART.fullmatch(part) and part not in {".", ".."} for part in text.split("/"))


def check_key(key: str) -> None:
    """Raise StoreError unless `key` may be the key of an object."""
    if not is_key(key):
        raise StoreError(f"{key!r} is no key of a job store: use letters, digits and ._- in parts joined by single /")
