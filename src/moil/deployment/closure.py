"""What installed distributions require, followed to its end: markers and extras as the ``packaging`` library reads them.

What is required and not installed is no error here. The program may never come to it, and at home it was not there
either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement

from moil.deployment.metadata import Distribution, canonical

Lookup = Callable[[str], Distribution | None]


def closure(seeds: Mapping[str, str], by_name: Lookup) -> dict[str, str]:
    """The seeds (canonical names, with reasons) and all that they require and that is installed, with reasons."""
    environment = cast(dict[str, str], default_environment())
    reasons = dict(seeds)
    seen: set[tuple[str, str]] = set()
    waiting = [(name, "") for name in seeds]
    while waiting:
        name, extra = waiting.pop()
        distribution = by_name(name)
        if distribution is None or (name, extra) in seen:
            continue
        seen.add((name, extra))
        for needed, extras in _needs(distribution, environment | {"extra": extra}):
            if by_name(needed) is not None:
                reasons.setdefault(needed, f"required by {name}")
                waiting += [(needed, one) for one in ("", *extras)]
    return reasons


def _needs(distribution: Distribution, environment: dict[str, str]) -> Iterator[tuple[str, set[str]]]:
    for text in distribution.requires:
        if not environment["extra"] and "extra ==" in text and " or " not in text:
            continue
        try:
            one = Requirement(text)
        except InvalidRequirement:
            continue
        if one.marker is None or one.marker.evaluate(environment):
            yield canonical(one.name), one.extras
