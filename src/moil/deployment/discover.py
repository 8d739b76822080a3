"""Discovery: what a program is made of, found without running any of it.

It goes from where the program starts, and from what it has loaded, along the imports of the user's own files, and calls
whatever is reached *first-party* if it lies in an entry of the import path that is the user's. What is reached in
installed distributions is left to `moil.deployment.distributions`. The result is a plan, in which every file has its
reason and everything that was left out its rule.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping

from moil.deployment import distributions, limits, on_demand, project
from moil.deployment import start as starting
from moil.deployment.classify import Classifier, Owner
from moil.deployment.closure import closure
from moil.deployment.distributions import Installed
from moil.deployment.git import Git
from moil.deployment.include import Includer
from moil.deployment.loose import shown_from
from moil.deployment.plan import LeftOut, Plan, PlannedUnit
from moil.deployment.reach import Follower, Means, Reached
from moil.deployment.request import ENGINE, Loaded, Request, loaded_modules
from moil.deployment.resolve import Place, Resolver
from moil.deployment.roots import Root, enclosing, ordered, with_start
from moil.deployment.rules import Rules, base_of
from moil.deployment.scans import Scans
from moil.deployment.start import Start
from moil.deployment.sweep import Sweep
from moil.deployment.tree import Tree, is_below
from moil.deployment.units import Builder
from moil.deployment.walk import Walker
from moil.deployment.why import why, why_missing
from moil.errors import UsageError
from moil.record import record

__all__ = ["ENGINE", "Loaded", "Request", "discover", "loaded_modules", "why", "why_missing"]

_MAINS = ("__main__", "__mp_main__", "__moil_main__")
_NAMED = 5


def discover(request: Request) -> Plan:
    """What is to be shipped. Raises UsageError for a program that is not there, or is far too large."""
    return _Discovery(request).plan()


@record(kw_only=False)
class _Surroundings:
    """What is known before the program is looked at."""

    installed: Installed
    classifier: Classifier
    unowned: Mapping[str, list[str]]


def _surroundings(request: Request) -> _Surroundings:
    installed = Installed.scan(request.path, prefix=request.prefix, base_prefix=request.base_prefix)
    classifier = Classifier(lambda path: installed.owner(path) is not None)
    classifier.add(Owner.engine, [str(request.engine)])
    classifier.add(Owner.installed, [*request.site, *installed.sites], site=True)
    classifier.add(Owner.stdlib, request.stdlib)
    classifier.add(Owner.user, [root for one in installed.editables() for root in (*one.roots, *one.mapping.values())])
    if request.prefix != request.base_prefix:
        classifier.add(Owner.installed, [request.prefix])
    unowned = {site: [one for one in installed.unowned(site) if _is_importable(one)] for site in installed.sites}
    return _Surroundings(installed, classifier, unowned)


def _is_importable(path: str) -> bool:
    name = os.path.basename(path)
    return name.partition(".")[0].isidentifier() and (name.endswith((".py", ".so")) or os.path.isdir(path))


class _Discovery:
    """One plan in the making."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._known = _surroundings(request)
        self._tree, self._git = Tree(), Git()
        roots = ordered(request, self._known.classifier, self._known.installed.editables(), self._known.unowned)
        self._start = self._found_start(roots)
        self._roots, self._main = with_start(roots, self._start, request)
        self._check_start()
        self._base = base_of(request.project, self._start.origin)
        self._never = frozenset(_never(request))
        include, exclude = request.include, request.exclude
        if not (include or exclude):
            include, exclude = project.patterns(self._base)
        self._rules = Rules(self._tree, self._base, include, exclude)
        self._rules.begin_at(root.origin for root in self._roots)
        self._walker = Walker(self._tree, self._rules, self._never)
        self._resolver = Resolver([one for one in self._roots if not self._is_engines(one)], self._tree)
        self._remarks: list[str] = []

    def plan(self) -> Plan:
        """The plan."""
        scans = Scans(self._request.memory, self._start.origin or self._base)
        follower = Follower(
            Means(
                resolver=self._resolver,
                tree=self._tree,
                scans=scans,
                walker=self._walker,
                home=self._request.home,
                is_known=self._is_known,
            )
        )
        self._seed(follower)
        included = self._includer().include(follower)
        follower.follow()
        scans.save()
        builder = Builder(
            tree=self._tree,
            walker=self._walker,
            git=self._git,
            start=self._start,
            main=self._main,
            reached=follower.reached,
            included=included,
            shown=shown_from(self._base),
        )
        self._remarks += [*follower.reached.remarks, *included.remarks]
        return self._assembled(builder)

    def _found_start(self, roots: list[Root]) -> Start:
        """The start; of a module that is installed only its name, since it is shipped as what it is."""
        start = starting.find(self._request, self._tree)
        if start is None:
            start = _of_module(self._request.module, Resolver(roots, self._tree))
        file = os.path.join(start.origin, start.file)
        is_installed = start.module and start.file and self._known.classifier.owner(file) is Owner.installed
        return Start(module=start.module) if is_installed else start

    def _check_start(self) -> None:
        if self._start.origin and self._main is None:
            raise UsageError(f"{self._request.script or self._request.module} is not there; check its name")
        if self._main is not None and not self._main.archive and not os.path.isfile(self._main.at_home(self._start.file)):
            raise UsageError(f"{self._main.at_home(self._start.file)} is not there; check the name of the program")

    def _includer(self) -> Includer:
        return Includer(
            roots=self._roots,
            rules=self._rules,
            tree=self._tree,
            walker=self._walker,
            never=self._never,
            home=self._request.home,
        )

    # -- what the program begins with ----------------------------------------------------------------------------

    def _seed(self, follower: Follower) -> None:
        main = self._main
        if main is None and self._start.module:
            follower.reached.others[self._start.module.partition(".")[0]] = "the main module"
        if main is not None:
            path = main.in_unit(os.path.join(self._start.origin, self._start.file)) or self._start.file
            words = "the main module" if self._start.module else "the script itself"
            follower.add(Place(main, path), words, always=True)
            self._siblings(main, follower)
        self._copied(follower)
        for name, module in self._request.modules.items():
            if module.file and self._known.classifier.owner(module.file) is Owner.user:
                self._loaded(name, module.file, follower)

    def _siblings(self, main: Root, follower: Follower) -> None:
        """Every .py beside a script, imported or not."""
        if self._start.module or main.archive or main.inner or main.sweep is Sweep.imported:
            return
        for name in self._tree.listing(main.origin):
            if name.endswith(".py") and self._tree.is_file(main.origin, name):
                follower.add(Place(main, name), f"beside {self._start.shown}")

    def _copied(self, follower: Follower) -> None:
        """In a virtual environment, what was copied into it is part of it."""
        if not self._request.environment:
            return
        for root in self._roots:
            if self._known.classifier.is_site(root.origin) and is_below(root.origin, self._request.prefix):
                for name in root.mapping or {}:
                    found = self._resolver.find(name)
                    if found is not None and found.file is not None and found.file.root is root:
                        follower.add(found.file, root.reason)

    def _loaded(self, name: str, file: str, follower: Follower) -> None:
        found = enclosing(self._roots, file, self._tree)
        if found is not None and found[0].archive:
            follower.add(Place(found[0], found[1]), "the program has loaded it")
        elif found is not None and os.path.isfile(file):
            follower.add(Place(*found), "the program has loaded it")
        elif os.path.isfile(file) and name not in _MAINS and self._known.classifier.place(file) is None:
            self._remarks.append(
                f"module {name} was loaded from {file}, which lies in no root of the import path: it is not shipped"
            )

    def _is_engines(self, root: Root) -> bool:
        """Whether a root holds the engine's own source, and is not what the user runs."""
        home = os.path.dirname(os.path.realpath(self._request.engine))
        return root is not self._main and os.path.realpath(root.origin) == home

    def _is_known(self, top: str) -> bool:
        return top in sys.stdlib_module_names or top == ENGINE.name or bool(self._known.installed.of_import(top))

    # -- what comes of it ----------------------------------------------------------------------------------------

    def _assembled(self, builder: Builder) -> Plan:
        units: list[PlannedUnit] = []
        roots: list[Root] = []
        for root in self._roots:
            made = list(builder.build(root, len(roots)))
            if made or root is self._main:
                roots.append(root)
                units += made
        builder.left_out.extend(
            LeftOut(path=one + "/", rule="it cannot be read", is_unforeseen=True) for one in self._tree.unreadable
        )
        remarks = [*limits.check(units, builder.shown), *self._remarks, *self._git.remarks]
        remarks += _missed(_once(builder.left_out))
        return Plan(
            entry=self._start.entry(roots.index(self._main) if self._main in roots else -1),
            roots=tuple(root.planned() for root in roots),
            units=(*units, *self._distributions(builder.reached, units)),
            left_out=_once((*builder.left_out, *builder.reached.left_out)),
            remarks=tuple(dict.fromkeys(remarks)),
            unresolved=self._unresolved(builder.reached),
        )

    def _distributions(self, reached: Reached, code: list[PlannedUnit]) -> list[PlannedUnit]:
        installed = self._known.installed
        wanted = distributions.wanted(installed, dict(self._tops(reached)), everything=self._request.environment)
        units = distributions.plan_units(installed, wanted.distributions, wanted.reasons, self._request.memory)
        return on_demand.divide(units, wanted.needed, wanted.requires, code) if self._request.on_demand else units

    def _tops(self, reached: Reached) -> Iterator[tuple[str, str]]:
        """The import names that are to be had from distributions, with reasons; the engine's own needs are not."""
        engines = closure({ENGINE.name: ""}, self._known.installed.by_name)
        for name, module in self._request.modules.items():
            top = name.partition(".")[0]
            is_installed = bool(module.file) and self._known.classifier.owner(module.file) is Owner.installed
            if not is_installed or top == on_demand.STAND_IN:
                continue
            if not any(one.name in engines for one in self._known.installed.of_import(top)):
                yield top, "the program has loaded it"
        for place in (*reached.packages, *reached.modules):
            if place.root.reason.startswith("editable"):
                yield place.path.partition("/")[0].partition(".")[0], place.root.reason
        yield from reached.others.items()

    def _unresolved(self, reached: Reached) -> dict[str, str]:
        others = {name: who for name, who in reached.others.items() if not self._is_known(name)}
        return {**others, **reached.missing}


def _of_module(name: str, resolver: Resolver) -> Start:
    """The start of a module that is not loaded. Raises UsageError."""
    inner = resolver.find(f"{name}.__main__")
    found = inner if inner is not None and inner.file is not None else resolver.find(name)
    if found is None or found.file is None:
        raise UsageError(f"there is no module {name} in a root of the import path; check its name, and PYTHONPATH")
    place = found.file
    if place.root.mapping is not None:
        file = os.path.relpath(place.root.at_home(place.path), place.root.origin)
        return Start(module=found.name, origin=place.root.origin, file=file)
    return Start(module=found.name, origin=place.root.origin, file=place.path, archive=place.root.archive)


def _missed(left_out: Iterable[LeftOut]) -> Iterator[str]:
    """Remarks on what was left out and may be missed, the largest first."""
    missed = sorted((one for one in left_out if one.is_unforeseen), key=lambda one: -one.size)
    yield from (f"{one.path} is not shipped: {one.rule}" for one in missed[:_NAMED])
    if len(missed) > _NAMED:
        yield f"{len(missed) - _NAMED} more are not shipped; moil deploy plan shows them"


def _never(request: Request) -> Iterator[str]:
    """Places that are not shipped, whatever is said."""
    store = request.job_store.removeprefix("file://")
    places = [str(request.engine)]
    if store and "://" not in store:
        places.append(store)
    for one in places:
        yield os.path.abspath(one)
        yield os.path.realpath(one)


def _once(every: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    return tuple({one.path: one for one in every}.values())
