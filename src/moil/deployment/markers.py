"""A requirement with all that it may say, as the ``packaging`` library reads it. Brought in for those that say much."""

from __future__ import annotations

from typing import cast

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement

_HERE = cast(dict[str, str], default_environment())


def wanted(text: str, extra: str) -> tuple[str, set[str]] | None:
    """The name, and the extras that are asked for; None: it is for somewhere else, for another extra, or cannot be read."""
    try:
        one = Requirement(text)
    except InvalidRequirement:
        return None
    if one.marker is None or one.marker.evaluate(_HERE | {"extra": extra}):
        return one.name, one.extras
    return None
