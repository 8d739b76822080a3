"""From what was found to what is shipped: git is asked, files are looked at, links and empty directories are settled.

Code is shipped whatever git ignores: extension modules that were built in place and files that a build has generated
are ignored, and needed. What cannot be read, or has nothing behind it, is left out here, each with its rule.
"""

from __future__ import annotations

import os
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from moil.core.requirements import format_size
from moil.deployment import listing
from moil.deployment.git import Git
from moil.deployment.plan import LeftOut, Source, stamp_of
from moil.deployment.tree import Tree, ancestors
from moil.deployment.walk import Directory, Found, Walk

SMALL = 1 << 20
"""What lies behind a link that leads out, or beside the script, is shipped up to this size."""


class Ignored:
    """What git ignores below a root. If it ignores the root as a whole, as it does an environment, that says nothing."""

    def __init__(self, git: Git, tree: Tree, origin: str) -> None:
        self._git, self._tree, self._origin = git, tree, origin
        self._tops: dict[str, str] = {}
        self._is_moot: bool | None = None

    def of(self, paths: Iterable[str]) -> dict[str, str]:
        """Those of the paths that are ignored, with the rule. A directory's path ends in a slash."""
        if self._is_moot is None:
            self._is_moot = bool(self._asked([self._origin + "/"]))
        return {} if self._is_moot else self._asked(paths)

    def _asked(self, paths: Iterable[str]) -> dict[str, str]:
        """Paths are asked for as they really are, since git follows no links."""
        by_top: dict[str, dict[str, str]] = defaultdict(dict)
        for path in paths:
            above, name = os.path.split(path)
            real = self._tree.real(above)
            by_top[self._top(real if name else os.path.dirname(real))][os.path.join(real, name)] = path
        found: dict[str, str] = {}
        for top, some in by_top.items():
            if top:
                found |= {some[real]: rule for real, rule in self._git.ignored(top, list(some)).items()}
        return found

    def _top(self, directory: str) -> str:
        """The work tree that a directory lies in; "" if it lies in none."""
        known = self._tops.get(directory)
        if known is None:
            above = os.path.dirname(directory)
            outer = "" if above == directory else None
            known = directory if os.path.exists(os.path.join(directory, ".git")) else outer
            known = self._tops[directory] = self._top(above) if known is None else known
        return known


def after_git(walk: Walk, ignored: Ignored) -> tuple[list[Found], list[LeftOut]]:
    """What git lets through of a walk, and what not; a directory that is ignored whole is one line."""
    asked = [one for one in walk.found if not one.is_code and one.verdict is None]
    directories = [one for one in walk.directories if not one.closed and one.path != walk.top]
    if not asked:
        return walk.found, []
    rules = ignored.of([*(one.origin + "/" for one in directories), *(one.entry.path for one in asked)])
    left_out: dict[str, LeftOut] = {}
    dropped: set[str] = set()
    for one in asked:
        rule = rules.get(one.entry.path)
        if rule is not None:
            dropped.add(one.path)
            top = _outermost(one.entry.path, rules)
            left_out.setdefault(top, LeftOut(path=top, rule=rules[top]))
    return [one for one in walk.found if one.path not in dropped], list(left_out.values())


def _outermost(path: str, rules: Mapping[str, str]) -> str:
    above = [one + "/" for one in ancestors(os.path.dirname(path)) if one + "/" in rules]
    return above[-1] if above else path


def unignored(level: list[Directory], ignored: Ignored, left_out: list[LeftOut]) -> list[Directory]:
    """The directories of a level that git lets through."""
    rules = ignored.of([one.origin + "/" for one in level if not one.closed])
    left_out += [LeftOut(path=path, rule=rule) for path, rule in rules.items()]
    return [one for one in level if one.origin + "/" not in rules]


def looked_at(found: Found, reason: str) -> Source | LeftOut:
    """The source of a file, or the rule that leaves it out; the source of a link that stays inside has no size."""
    if found.leads_to:
        target = posixpath.relpath(found.leads_to, posixpath.dirname(found.path) or ".")
        return Source(path=found.path, origin=found.entry.path, kind=listing.LINK, target=target, reason=reason)
    status = found.entry.status()
    if status is None or not os.access(found.entry.path, os.R_OK):
        return LeftOut(path=found.entry.path, rule="it cannot be read", is_unforeseen=True)
    size = status.st_size
    named = found.verdict is not None and found.verdict.included
    if found.followed and size > SMALL and not found.is_code and not named:
        rule = f"it lies behind a link that leads out, and has {format_size(size)}; name it in deploy-include to ship it"
        return LeftOut(path=found.entry.path, rule=rule, size=size)
    kind = listing.EXECUTABLE if status.st_mode & 0o100 else listing.FILE
    return Source(
        path=found.path, origin=found.entry.path, kind=kind, size=size, reason=reason, stamp=stamp_of(status)
    )


def sources_of(
    founds: Iterable[Found], reason: Callable[[Found], str], left_out: list[LeftOut]
) -> tuple[list[Source], dict[str, str]]:
    """The sources of what was found; of the links among them, by path, where they lead to."""
    sources: list[Source] = []
    links: dict[str, str] = {}
    for one in founds:
        made = looked_at(one, _reason(one, reason))
        if isinstance(made, LeftOut):
            left_out.append(made)
            continue
        sources.append(made)
        if one.leads_to:
            links[one.path] = one.leads_to
    return sources, links


def _reason(found: Found, reason: Callable[[Found], str]) -> str:
    return found.verdict.rule if found.verdict is not None and not found.is_code else reason(found)


def without_dangling(sources: list[Source], links: Mapping[str, str], left_out: list[LeftOut]) -> list[Source]:
    """The sources without links to what is not shipped."""
    shipped = {one.path for one in sources}
    shipped |= {above for one in sources for above in _above(one.path)}
    dangling = {path for path, target in links.items() if target not in shipped}
    left_out += [
        LeftOut(path=one.origin, rule=f"it is a link to {one.target}, which is not shipped", is_unforeseen=True)
        for one in sources
        if one.path in dangling
    ]
    return [one for one in sources if one.path not in dangling]


def empty_directories(
    directories: Sequence[Directory], sources: Sequence[Source], left_out: Iterable[LeftOut]
) -> list[Source]:
    """Directories of which nothing is shipped, but which are there at home and should be on a worker."""
    dropped = {one.path for one in left_out if one.path.endswith("/")}
    filled = {above for one in sources for above in _above(one.path)}
    found: list[Source] = []
    for one in sorted(directories, key=lambda one: -one.path.count("/")):
        outside = one.closed or not one.path or any(above + "/" in dropped for above in ancestors(one.origin))
        if not outside and one.path not in filled:
            found.append(Source(path=one.path, origin=one.origin, kind=listing.DIRECTORY, reason="an empty directory"))
            filled |= set(_above(one.path))
    return found


def _above(path: str) -> Iterable[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
