"""What deploy-include asks for, beyond what is reached.

A module that is included is reached, with its package and its imports. Data goes where it lies, if that is in a root of
the import path: nowhere else would the program find it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from moil.deployment.reach import Follower
from moil.deployment.resolve import Place
from moil.deployment.roots import Root, enclosing
from moil.deployment.rules import Rules, is_in_any
from moil.deployment.sweep import Sweep, sweep_of
from moil.deployment.tree import Tree, is_below
from moil.deployment.walk import Found, Walker
from moil.record import field, record


@record(kw_only=False, frozen=False)
class Included:
    """Data, by root; and what could not be done."""

    found: dict[Root, list[Found]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


@record
class Includer:
    """What it takes."""

    roots: Sequence[Root]
    rules: Rules
    tree: Tree
    walker: Walker
    never: frozenset[str]
    home: str

    def include(self, follower: Follower) -> Included:
        """Find it all, and have the follower follow the modules among it."""
        included = Included()
        for text, place in self.rules.places():
            if is_in_any(place, self.never):
                continue
            if not os.path.lexists(place):
                included.remarks.append(f"deploy-include has {text!r}, and there is no {place}")
            elif os.path.isdir(place):
                self._directory(text, place, follower, included)
            else:
                self._file(text, place, follower, included)
        return included

    def _directory(self, text: str, place: str, follower: Follower, included: Included) -> None:
        if sweep_of(place, self.home) is not Sweep.all:
            included.remarks.append(f"deploy-include has {text!r}, for which all of {place} would be searched: say where")
            return
        matched = 0
        for root, path, top in self._searched(place):
            walk = self.walker.walk(path, top)
            meant = [one for one in walk.found if one.verdict is not None and self.rules.matches(text, one.entry.path)]
            matched += len(meant)
            for one in meant:
                self._take(root, one, follower, included)
        if not matched:
            included.remarks.append(f"deploy-include has {text!r}, which matches nothing in any root of the import path")

    def _searched(self, place: str) -> Iterator[tuple[Root, str, str]]:
        """Where to look: the directory in its root, or the roots in the directory."""
        found = enclosing(self.roots, place, self.tree)
        exact = [root for root in self.roots if root.mapping is None and not root.archive and root.origin == place]
        if exact or found is None:
            inside = [root for root in self.roots if root.mapping is None and not root.archive]
            yield from ((root, "", root.origin) for root in inside if is_below(root.origin, place))
        else:
            yield found[0], found[1], place

    def _file(self, text: str, place: str, follower: Follower, included: Included) -> None:
        found = enclosing(self.roots, place, self.tree)
        if found is None:
            remark = f"deploy-include has {text!r}, which lies in no root of the import path, so it is not shipped"
            included.remarks.append(remark)
            return
        root, path = found
        one, rule = self.walker.file(path, place)
        if one is None:
            included.remarks.append(f"deploy-include has {text!r}, but {rule}")
        else:
            self._take(root, one, follower, included)

    def _take(self, root: Root, one: Found, follower: Follower, included: Included) -> None:
        if one.entry.name.endswith(".py"):
            follower.add(Place(root, one.path), one.verdict.rule if one.verdict else "include")
        else:
            included.found.setdefault(root, []).append(one)
