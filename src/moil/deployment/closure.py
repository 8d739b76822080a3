"""What installed distributions require, followed to its end: markers and extras as the ``packaging`` library reads them.

That library takes a while to come up, and most requirements are a name and versions, for which it is not needed.

What is required and not installed is no error here. The program may never come to it, and at home it was not there
either.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping

from moil.deployment.metadata import Distribution, canonical

_PLAIN = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\(?[<>=!~][^;\[\]@]*)?")
Lookup = Callable[[str], Distribution | None]


class Requirements:
    """Who requires what, among the distributions that `by_name` knows. Each one's metadata is read once."""

    def __init__(self, by_name: Lookup) -> None:
        self._by_name = by_name
        self._known: dict[tuple[str, str], list[tuple[str, set[str]]]] = {}

    def closure(self, seeds: Mapping[str, str]) -> dict[str, str]:
        """The seeds (canonical names, with reasons) and all that they require and that is installed, with reasons."""
        reasons = dict(seeds)
        seen: set[tuple[str, str]] = set()
        waiting = [(name, "") for name in seeds]
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            for needed, extras in self._needs(*one):
                reasons.setdefault(needed, f"required by {one[0]}")
                waiting += [(needed, extra) for extra in ("", *extras)]
        return reasons

    def of(self, name: str) -> list[str]:
        """The names of all that a distribution requires, directly or not, itself included."""
        return list(self.closure({name: ""}))

    def _needs(self, name: str, extra: str) -> list[tuple[str, set[str]]]:
        """What is required and installed, with the extras that are asked for."""
        if (name, extra) not in self._known:
            distribution = self._by_name(name)
            needs = () if distribution is None else _needs(distribution, extra)
            self._known[name, extra] = [(needed, extras) for needed, extras in needs if self._by_name(needed) is not None]
        return self._known[name, extra]


def closure(seeds: Mapping[str, str], by_name: Lookup) -> dict[str, str]:
    """The same for one question."""
    return Requirements(by_name).closure(seeds)


def _needs(distribution: Distribution, extra: str) -> Iterator[tuple[str, set[str]]]:
    for text in distribution.requires:
        if not extra and "extra ==" in text and " or " not in text:
            continue
        plain = _PLAIN.fullmatch(text)
        found = (plain[1], set[str]()) if plain else importlib.import_module("moil.deployment.markers").wanted(text, extra)
        if found is not None:
            yield canonical(found[0]), found[1]
