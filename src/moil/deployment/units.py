"""The units of the user's code: what is reached, and what goes with it, root by root.

A package is a unit. What lies in no package (modules, the script and what is beside it, data that is included) is one
unit for each root, so that an edit of a script sends one small unit and not as many as there are files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from moil.deployment import listing
from moil.deployment.gather import Ignored, after_git, empty_directories, sources_of, without_dangling
from moil.deployment.git import Git
from moil.deployment.include import Included
from moil.deployment.loose import Beside, Loose
from moil.deployment.plan import LeftOut, PlannedUnit, Source, UnitKind
from moil.deployment.reach import Package, Reached
from moil.deployment.resolve import Place
from moil.deployment.roots import Root
from moil.deployment.start import Start
from moil.deployment.sweep import Sweep
from moil.deployment.tree import Tree
from moil.deployment.walk import Directory, Found, Walker
from moil.record import field, record


@record
class Builder:
    """Makes units. `shown` writes a place as deploy-include would."""

    tree: Tree
    walker: Walker
    git: Git
    start: Start
    main: Root | None
    reached: Reached
    included: Included
    shown: Callable[[str], str]
    left_out: list[LeftOut] = field(default_factory=list)

    def build(self, root: Root, number: int) -> Iterator[PlannedUnit]:
        """The units of a root."""
        if root in self.reached.archives:
            yield self._archive(root, number)
            return
        ignored = Ignored(self.git, self.tree, root.origin)
        taken: set[str] = set()
        packages = [(place.path, one) for place, one in self.reached.packages.items() if place.root is root]
        for path, package in sorted(packages, key=lambda one: one[0]):
            sources = self._package(root, path, package, ignored)
            taken |= {one.path for one in sources}
            yield PlannedUnit(
                name=path.replace("/", "."), kind=UnitKind.code, root=number, reason=package.reason, sources=tuple(sources)
            )
        rest = self._rest(root, ignored, taken)
        if rest:
            name = f"files beside {self.start.shown}" if root is self.main else f"modules in {os.path.basename(root.origin)}"
            yield PlannedUnit(name=name, kind=UnitKind.code, root=number, reason=root.reason, sources=tuple(rest))

    def _archive(self, root: Root, number: int) -> PlannedUnit:
        name, reason = os.path.basename(root.origin), self.reached.archives[root]
        source = Source(
            path=name, origin=root.origin, kind=listing.FILE, size=os.path.getsize(root.origin), reason=reason
        )
        return PlannedUnit(name=name, kind=UnitKind.code, root=number, reason=reason, sources=(source,))

    def _package(self, root: Root, path: str, package: Package, ignored: Ignored) -> list[Source]:
        kept, by_git = after_git(package.walk, ignored)
        left_out = [*package.walk.left_out, *by_git]

        def reason(found: Found) -> str:
            own = self.reached.reasons.get(Place(root, found.path))
            return own or (f"part of {path}, {package.reason}" if found.is_code else f"package data of {path}")

        return self._settled(kept, package.walk.directories, reason, left_out)

    def _rest(self, root: Root, ignored: Ignored, taken: set[str]) -> list[Source]:
        loose = Loose()
        reached = {place.root.at_home(place.path) for place in self.reached.packages}
        for place in self._beside(root):
            beside = Beside(
                root=root,
                tree=self.tree,
                walker=self.walker,
                ignored=ignored,
                shown=self.shown,
                is_reached=lambda path: root.at_home(path) in reached,
            )
            beside.sort(place, loose)
        modules = [one for place, one in self.reached.modules.items() if place.root is root]
        every = {one.path: one for one in (*loose.found, *self.included.found.get(root, ()), *modules)}
        founds = [one for path, one in sorted(every.items()) if path not in taken]
        reasons = self.reached.reasons

        def reason(found: Found) -> str:
            return reasons.get(Place(root, found.path)) or f"beside {self.start.shown}"

        return self._settled(founds, loose.directories, reason, loose.left_out)

    def _beside(self, root: Root) -> list[str]:
        """The directories of a root whose loose files are looked at, none inside another."""
        places = [place.path for place in self.reached.spaces if place.root is root]
        if root is self.main and not self.start.module and not root.inner and root.sweep is Sweep.all:
            return [""]
        return [one for one in sorted(set(places)) if not any(one.startswith(f"{other}/") for other in places)]

    def _settled(
        self,
        founds: Iterable[Found],
        directories: list[Directory],
        reason: Callable[[Found], str],
        left_out: list[LeftOut],
    ) -> list[Source]:
        sources, links = sources_of(founds, reason, left_out)
        sources = without_dangling(sources, links, left_out)
        sources += empty_directories(directories, sources, left_out)
        self.left_out.extend(left_out)
        return sorted(sources, key=lambda one: one.path)
