"""What lies below a directory and may be shipped, by all rules that need neither git nor a file's size.

The walk goes level by level. Directories that are never shipped are not entered, unless deploy-include speaks of
something in them. A link that stays inside stays a link. One that leads out stands for what is behind it: a file, or a
directory that is walked as if it were here; so a link must not lead to a directory that holds it, or there is no end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from moil.deployment import fixed
from moil.deployment.plan import LeftOut
from moil.deployment.rules import Rules, is_in_any
from moil.deployment.tree import DIRECTORY, FILE, LINK, Entry, Tree, is_below, is_code, joined, sort_of
from moil.deployment.verdict import Verdict
from moil.record import field, record


@record(kw_only=False)
class Found:
    """A file or a link."""

    #: In its unit.
    path: str
    entry: Entry
    #: Of a link that stays inside: the path in the unit that it leads to.
    leads_to: str = ""
    #: It is behind a link that leads out.
    followed: bool = False
    verdict: Verdict | None = None

    @property
    def is_code(self) -> bool:
        """Whether only Moil's own rules may leave it out."""
        return is_code(self.entry.name)


@record(kw_only=False)
class Directory:
    """A directory to be walked."""

    path: str
    origin: str
    #: What the directories above it really are, itself included.
    chain: tuple[str, ...] = ()
    followed: bool = False
    #: The rule for all of it; only what deploy-include speaks of is found in it.
    closed: str = ""


@record(kw_only=False, frozen=False)
class Walk:
    """What was found. `directories` are all that were entered; `is_cut`: there was more than was asked for."""

    top: str
    found: list[Found] = field(default_factory=list)
    directories: list[Directory] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    is_cut: bool = False


Prune = Callable[[list[Directory]], list[Directory]]


class Walker:
    """Walks. `never` are places that are not shipped whatever is said: the job store, the engine."""

    def __init__(self, tree: Tree, rules: Rules, never: frozenset[str]) -> None:
        self._tree, self._rules, self._never = tree, rules, never

    def is_never(self, origin: str) -> bool:
        """Whether it is not shipped whatever is said."""
        return bool(self._never) and (is_in_any(origin, self._never) or is_in_any(self._tree.real(origin), self._never))

    def walk(self, top: str, origin: str, *, prune: Prune = lambda level: level, most: int = 0) -> Walk:
        """All below a directory, which is `top` in the unit. `prune` may drop directories; `most` files are enough."""
        walk = Walk(top)
        level = [Directory(top, origin, (self._tree.real(origin),))]
        while level:
            below: list[Directory] = []
            for one in level:
                below += self._enter(one, walk)
                if most and max(len(walk.found), len(walk.directories)) > most:
                    walk.is_cut = True
                    return walk
            level = prune(below)
        return walk

    def directories_in(self, path: str, origin: str, walk: Walk) -> list[Directory]:
        """The directories of a directory that may be walked; what may not is added to `walk`."""
        return self._enter(Directory(path, origin, (self._tree.real(origin),)), walk)

    def file(self, path: str, origin: str) -> tuple[Found | None, str]:
        """One file; or None, and the rule that leaves it out."""
        directory, name = os.path.split(origin)
        entry = self._tree.listing(directory).get(name)
        verdict = self._rules.verdict(origin)
        if entry is None:
            return None, "it is not there"
        if verdict is not None and not verdict.included:
            return None, verdict.rule
        return Found(path, entry, followed=entry.kind == LINK, verdict=verdict), ""

    def _enter(self, one: Directory, walk: Walk) -> list[Directory]:
        walk.directories.append(one)
        below: list[Directory] = []
        for entry in self._tree.listing(one.origin).values():
            path = joined(one.path, entry.name)
            if entry.kind == DIRECTORY:
                below += self._opened(one, path, entry, walk)
            elif entry.kind == FILE:
                self._file(one, Found(path, entry, followed=one.followed), walk)
            elif entry.kind == LINK:
                below += self._link(one, path, entry, walk)
            else:
                walk.left_out.append(LeftOut(path=entry.path, rule=f"it {sort_of(entry.path)}"))
        return below

    def _opened(self, above: Directory, path: str, entry: Entry, walk: Walk) -> Iterator[Directory]:
        real = os.path.join(above.chain[-1], entry.name) if entry.kind == DIRECTORY else self._tree.real(entry.path)
        followed = above.followed or entry.kind == LINK
        own = self._closed(entry)
        closed = above.closed or own
        if closed and not above.closed and not _is_silent(entry.name):
            walk.left_out.append(LeftOut(path=entry.path + "/", rule=closed))
        opened = not self.is_never(entry.path) and self._rules.speaks_of(entry.path, also_above=not own)
        if not closed or opened:
            yield Directory(path, entry.path, (*above.chain, real), followed, closed)

    def _closed(self, entry: Entry) -> str:
        if self.is_never(entry.path):
            return "it is the job store, or Moil itself"
        verdict = self._rules.verdict(entry.path, directory=True)
        if verdict is not None and (verdict.named or not verdict.included):
            return "" if verdict.included else verdict.rule
        return fixed.directory_rule(entry.name, self._tree.listing(entry.path))

    def _file(self, above: Directory, found: Found, walk: Walk) -> None:
        entry = found.entry
        verdict = self._rules.verdict(entry.path)
        is_meant = verdict is not None and (verdict.named or found.is_code)
        if verdict is not None and not verdict.included:
            walk.left_out.append(LeftOut(path=entry.path, rule=verdict.rule))
        elif not is_meant and not found.is_code and self._is_secret(entry):
            rule = f"its name is that of a secret; deploy-include = [{entry.name!r}] ships it"
            in_package = self._tree.is_package(walk.directories[0].origin)
            walk.left_out.append(LeftOut(path=entry.path, rule=rule, is_unforeseen=in_package))
        elif is_meant or (not fixed.file_rule(entry.name) and not (above.closed and verdict is None)):
            walk.found.append(Found(found.path, entry, found.leads_to, found.followed, verdict))

    def _is_secret(self, entry: Entry) -> bool:
        if fixed.is_secret(entry.name):
            return True
        return entry.kind == LINK and fixed.is_secret(os.path.basename(self._tree.real(entry.path)))

    def _link(self, above: Directory, path: str, entry: Entry, walk: Walk) -> Iterator[Directory]:
        real = self._tree.real(entry.path)
        base = walk.directories[0].chain[0]
        is_directory = os.path.isdir(real)
        if not os.path.exists(real):
            rule = f"it is a link to {os.readlink(entry.path)}, which is not there"
            walk.left_out.append(LeftOut(path=entry.path, rule=rule, is_unforeseen=True))
        elif is_below(real, base):
            leads_to = joined(walk.top, os.path.relpath(real, base)) if real != base else walk.top
            if is_directory and self._closed(entry):
                walk.left_out.append(LeftOut(path=entry.path, rule=self._closed(entry)))
            elif leads_to:
                self._file(above, Found(path, entry, leads_to, above.followed), walk)
        elif is_directory and (is_below(base, real) or real in above.chain):
            rule = f"it is a link to {real}, which holds it"
            walk.left_out.append(LeftOut(path=entry.path, rule=rule, is_unforeseen=True))
        elif is_directory:
            yield from self._opened(above, path, entry, walk)
        elif os.path.isfile(real):
            self._file(above, Found(path, entry, followed=True), walk)
        else:
            walk.left_out.append(LeftOut(path=entry.path, rule=f"it {sort_of(real)}"))


def _is_silent(name: str) -> bool:
    """What everybody knows is not shipped needs no line."""
    return name in ("__pycache__", ".git")


def all_left_out(walks: Iterable[Walk]) -> list[LeftOut]:
    """What the walks have left out."""
    return [one for walk in walks for one in walk.left_out]
