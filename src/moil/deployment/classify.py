"""Whose a file is: the standard library's, the engine's, an installed distribution's, or the user's own.

Every place that somebody owns is written down, as it is spelt and as it really is, and the longest that a path lies in
decides, by whole components: ``.venv`` inside a project is the environment's, a source directory inside ``.venv`` is the
user's again. A path is tried as it is spelt first, since that is how it was found on the import path, and as it really
is if nobody owns the spelling. In a directory for installed distributions, what no distribution lays claim to is the
user's: it was copied there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

from moil.deployment.tree import ancestors


class Owner(StrEnum):
    """Whose a file is."""

    stdlib = "the standard library"
    engine = "Moil"
    installed = "an installed distribution"
    user = "first-party"


class Classifier:
    """Knows the places. `claimed` says whether a distribution owns a file in a site directory."""

    def __init__(self, claimed: Callable[[str], bool]) -> None:
        self._places: dict[str, Owner] = {}
        #: What has been asked before: a program has hundreds of modules, and is asked for each more than once.
        self._owners: dict[str, Owner] = {}
        self._near: dict[str, tuple[str, Owner] | None] = {}
        self._sites: set[str] = set()
        self._claimed = claimed

    def add(self, owner: Owner, places: Iterable[str], *, site: bool = False) -> None:
        """These directories are this owner's; a place that is written down already stays as it is."""
        self._owners.clear()
        self._near.clear()
        for place in places:
            for spelling in _spellings(place):
                self._places.setdefault(spelling, owner)
                if site:
                    self._sites.add(spelling)

    def place(self, path: str) -> tuple[str, Owner] | None:
        """The longest place that a path lies in, and whose it is; None if it lies in none."""
        for spelling in _spellings(path):
            found = self._above(spelling)
            if found is not None:
                return found
        return None

    def _above(self, path: str) -> tuple[str, Owner] | None:
        """What lies beside each other lies in the same place, unless it is one itself."""
        if path in self._places:
            return path, self._places[path]
        folder = os.path.dirname(path)
        if folder not in self._near:
            self._near[folder] = next(((one, self._places[one]) for one in ancestors(folder) if one in self._places), None)
        return self._near[folder]

    def owner(self, path: str) -> Owner:
        """Whose a file is; what lies nowhere in particular is the user's."""
        if path not in self._owners:
            self._owners[path] = self._found_owner(path)
        return self._owners[path]

    def _found_owner(self, path: str) -> Owner:
        found = self.place(path)
        if found is None:
            return Owner.user
        if found[0] in self._sites and not any(self._claimed(spelling) for spelling in _spellings(path)):
            return Owner.user
        return found[1]

    def is_site(self, directory: str) -> bool:
        """Whether distributions are installed into this very directory."""
        return any(spelling in self._sites for spelling in _spellings(directory))


def _spellings(path: str) -> Iterator[str]:
    """As it is spelt, and then as it really is, which takes a while to find out and is seldom asked for."""
    lexical = os.path.abspath(path)
    yield lexical
    real = os.path.realpath(lexical)
    if real != lexical:
        yield real
