"""The files beside a script: what is small enough, and belongs to the program rather than to its work.

A file is small up to 1 MiB, and all of them together up to 10 MiB: first the files right beside the script, the smallest
first, then the directories there, each whole or not at all. What is too much is named, with the line that ships it. A
directory of data is not looked through to its end: once it is clear that it is too much, the rest does not matter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from moil.core.requirements import format_size
from moil.deployment.gather import SMALL, Ignored, after_git, looked_at, unignored
from moil.deployment.plan import LeftOut, Source
from moil.deployment.roots import Root
from moil.deployment.tree import Tree
from moil.deployment.walk import Directory, Found, Walk, Walker
from moil.record import field, record

MOST = 10 << 20
MOST_FILES = 5_000


@record(kw_only=False, frozen=False)
class Loose:
    """What is shipped of it."""

    found: list[Found] = field(default_factory=list)
    directories: list[Directory] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    room: int = MOST
    room_for: int = MOST_FILES


@record
class Beside:
    """What it takes to sort them. `is_reached`: a path of the root's units that is shipped as a package."""

    root: Root
    tree: Tree
    walker: Walker
    ignored: Ignored
    shown: Callable[[str], str]
    is_reached: Callable[[str], bool]

    def sort(self, path: str, loose: Loose) -> None:
        """Sort the files of one directory of the root into `loose`."""
        walk = Walk(path)
        below = self.walker.directories_in(path, self.root.at_home(path), walk)
        loose.left_out += walk.left_out
        self._files(walk, loose)
        groups = [self._group(one, loose) for one in self._loose(below, loose)]
        for size, group in sorted((one for one in groups if one), key=lambda one: (one[0], one[1].top)):
            self._take(group, size, loose)

    def _files(self, walk: Walk, loose: Loose) -> None:
        kept, ignored = after_git(walk, self.ignored)
        loose.left_out += ignored
        loose.found += [one for one in kept if _is_meant(one) or one.entry.name.endswith(".py")]
        rest = [one for one in kept if not _is_meant(one) and not one.entry.name.endswith(".py")]
        if len(rest) > loose.room_for:
            place = self.root.at_home(walk.top) + "/"
            rule = f"the {len(rest)} files of data right in it are too many; name those that are needed in deploy-include"
            loose.left_out.append(LeftOut(path=place, rule=rule, is_unforeseen=True))
            return
        for size, one in sorted(self._small(rest, loose), key=lambda pair: (pair[0], pair[1].path)):
            if size > loose.room:
                loose.left_out.append(self._too_much(one.entry.path, size))
            else:
                loose.found.append(one)
                loose.room -= size
                loose.room_for -= 1

    def _small(self, founds: Iterable[Found], loose: Loose) -> list[tuple[int, Found]]:
        small: list[tuple[int, Found]] = []
        for one in founds:
            made = looked_at(one, "")
            if isinstance(made, Source) and made.size > SMALL:
                rule = f"it has {format_size(made.size)}, more than {format_size(SMALL)}; {self._cure(one.entry.path)}"
                loose.left_out.append(LeftOut(path=one.entry.path, rule=rule, size=made.size, is_unforeseen=True))
            elif isinstance(made, Source):
                small.append((made.size, one))
            else:
                loose.left_out.append(made)
        return small

    def _loose(self, directories: list[Directory], loose: Loose) -> list[Directory]:
        """Those that are neither packages nor ignored."""
        kept: list[Directory] = []
        for one in unignored(directories, self.ignored, loose.left_out):
            if not self.tree.is_package(one.origin):
                kept.append(one)
            elif not self.is_reached(one.path):
                rule = f"no import reaches this package; {self._cure(one.origin + '/')}"
                loose.left_out.append(LeftOut(path=one.origin + "/", rule=rule))
        return kept

    def _group(self, top: Directory, loose: Loose) -> tuple[int, Walk] | None:
        def prune(level: list[Directory]) -> list[Directory]:
            return self._loose(level, loose)

        walk = self.walker.walk(top.path, top.origin, prune=prune, most=loose.room_for)
        if walk.is_cut:
            meant = [one for one in walk.found if _is_meant(one)]
            loose.found += meant
            rule = f"it has more than {loose.room_for} files; {self._cure(top.origin + '/')}"
            loose.left_out.append(LeftOut(path=top.origin + "/", rule=rule, is_unforeseen=True))
            return None
        kept, ignored = after_git(walk, self.ignored)
        loose.left_out += [*walk.left_out, *ignored]
        loose.found += [one for one in kept if _is_meant(one)]
        small = self._small([one for one in kept if not _is_meant(one)], loose)
        walk.found = [one for _, one in small]
        return sum(size for size, _ in small), walk

    def _take(self, group: Walk, size: int, loose: Loose) -> None:
        if size > loose.room or len(group.found) > loose.room_for:
            loose.left_out.append(self._too_much(self.root.at_home(group.top) + "/", size))
            return
        loose.room -= size
        loose.room_for -= len(group.found)
        loose.found += group.found
        loose.directories += [one for one in group.directories if not self.tree.listing(one.origin)]

    def _too_much(self, place: str, size: int) -> LeftOut:
        rule = f"with it, the data beside the program would be more than {format_size(MOST)}; {self._cure(place)}"
        return LeftOut(path=place, rule=rule, size=size, is_unforeseen=True)

    def _cure(self, place: str) -> str:
        return f"deploy-include = [{self.shown(place)!r}] ships it"


def _is_meant(found: Found) -> bool:
    return found.verdict is not None and found.verdict.included


def shown_from(base: str) -> Callable[[str], str]:
    """How a place is written in deploy-include: relative to the project if it lies there."""

    def shown(place: str) -> str:
        if not os.path.isabs(place):
            return place
        inner = os.path.relpath(place, base) + ("/" if place.endswith("/") else "")
        return place if inner.startswith("..") else inner

    return shown
