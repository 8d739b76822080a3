"""The distributions that are installed on the leader: which there are, what is whose, and what is shipped of them.

They are found as the interpreter finds them: along the import path, and the first of a name is the only one. A scan
lists the site directories and opens nothing; RECORDs are read when somebody asks whose a file or a module is.

A directory of the import path that is no site directory may hold distributions too (``pip install --target``). There
only those with a RECORD count, since a source tree has an ``.egg-info`` of its own and is the user's all the same.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from moil.deployment import contents
from moil.deployment.closure import Requirements
from moil.deployment.contents import LookedAt
from moil.deployment.editables import Editable, editable_of, pth_directories
from moil.deployment.inventory import Inventories
from moil.deployment.metadata import Distribution, canonical, entries_of, split_name
from moil.deployment.plan import PlannedUnit, Source, UnitKind
from moil.record import record

ENGINE = "moil"
_SITE_NAMES = ("site-packages", "dist-packages")
_LEFT_BY_INSTALLERS = ("__pycache__", "_virtualenv.py", "_virtualenv.pth", "distutils-precedence.pth")


@record
class Wanted:
    """The distributions that a program needs."""

    distributions: tuple[Distribution, ...] = ()
    #: Why, by name.
    reasons: Mapping[str, str]
    #: The names of those that it was seen to need.
    needed: frozenset[str] = frozenset()
    #: All that each of the others requires, directly or not, by name.
    requires: Mapping[str, Sequence[str]] = MappingProxyType({})


class Installed:
    """An index of what is installed; made by `scan`."""

    def __init__(self, sites: tuple[str, ...], found: Mapping[str, Distribution], prefix: str, base_prefix: str) -> None:
        #: The site directories, in the order of the import path.
        self.sites = sites
        self._found = found
        self._prefix = prefix
        self._base_prefix = base_prefix
        self._imports: dict[str, tuple[Distribution, ...]] = {}

    @staticmethod
    def scan(path: Sequence[str], *, prefix: str = sys.prefix, base_prefix: str = sys.base_prefix) -> Installed:
        """What is installed along an import path. Nothing but directories is read."""
        sites: dict[str, str] = {}
        found: dict[str, Distribution] = {}
        for entry in map(os.path.abspath, filter(None, path)):
            real = os.path.realpath(entry)
            if real not in sites and os.path.isdir(entry) and not _is_standard(entry):
                here = _distributions(entry)
                if here or _is_site(entry):
                    sites[real] = entry
                for one in here:
                    found.setdefault(one.name, one)
        return Installed(tuple(sites.values()), found, os.path.abspath(prefix), os.path.abspath(base_prefix))

    def __iter__(self) -> Iterator[Distribution]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def by_name(self, name: str) -> Distribution | None:
        """The distribution of this name, however it is spelt."""
        return self._found.get(canonical(name))

    def of_import(self, top: str) -> tuple[Distribution, ...]:
        """The distributions that provide a top-level import name, those that are installed in place included."""
        if top not in self._imports:
            linked = (one.distribution for one in self.editables() if _provides(one, top))
            self._imports[top] = tuple(dict.fromkeys((*self._by_top.get(top, ()), *linked)))
        return self._imports[top]

    def owner(self, file: str) -> Distribution | None:
        """Whose a file is: whoever's RECORD lists it, or has the package that it lies in; None if it is nobody's."""
        absolute = os.path.abspath(file)
        for spelling in (str, os.path.realpath):  # the second takes a while, and is seldom asked for
            one = spelling(absolute)
            if one in self._outside:
                return self._outside[one]
            for start, site in self._starts:
                if one.startswith(start):
                    return self._owner_in(site, one[len(start) :].replace(os.sep, "/"))
        return None

    def editables(self) -> tuple[Editable, ...]:
        """The distributions that are installed in place."""
        return self._editables

    def editable(self, distribution: Distribution) -> Editable | None:
        """How a distribution is installed in place; None if it is not."""
        return next((one for one in self._editables if one.distribution is distribution), None)

    def is_own(self, distribution: Distribution) -> bool:
        """Whether it is installed in the virtual environment itself, and not where all environments see it."""
        places = ((distribution.site, self._prefix), (os.path.realpath(distribution.site), os.path.realpath(self._prefix)))
        return self._prefix != self._base_prefix and any(f"{site}/".startswith(f"{prefix}/") for site, prefix in places)

    def unowned(self, site: str) -> list[str]:
        """The paths at the top of a site directory that no distribution knows."""
        here = [one for one in self if one.site == site]
        known = {path.partition("/")[0] for one in here for path in one.record or ()}
        tops = {top for one in here if one.record is None for top in one.tops}
        return [
            os.path.join(site, name)
            for name in sorted(entries_of(site))
            if name not in known and name.partition(".")[0] not in tops and not _is_housekeeping(name)
        ]

    def pth_roots(self) -> tuple[str, ...]:
        """The directories that plain lines of ``.pth`` files put on the import path, whoever wrote them."""
        found: dict[str, None] = {}
        for site in filter(_is_site, self.sites):
            for name in sorted(entries_of(site)):
                if name.endswith(".pth") and not name.startswith("."):
                    found.update(dict.fromkeys(pth_directories(os.path.join(site, name), site)))
        return tuple(found)

    def is_recorded(self, site: str, path: str) -> bool:
        """Whether a path below a site directory is in anybody's RECORD."""
        return path in self._records[site]

    def site_number(self, distribution: Distribution) -> int:
        """The place of its site directory on the import path."""
        return self.sites.index(distribution.site)

    @cached_property
    def _editables(self) -> tuple[Editable, ...]:
        return tuple(one for one in map(editable_of, self) if one is not None)

    @cached_property
    def _by_top(self) -> dict[str, tuple[Distribution, ...]]:
        found: dict[str, list[Distribution]] = defaultdict(list)
        for one in self:
            for top in one.tops:
                found[top].append(one)
        return {top: tuple(many) for top, many in found.items()}

    @cached_property
    def _records(self) -> dict[str, dict[str, Distribution]]:
        found: dict[str, dict[str, Distribution]] = {site: {} for site in self.sites}
        for one in self:
            here = found[one.site]
            for path in one.record or ():
                here.setdefault(path, one)
        return found

    @cached_property
    def _outside(self) -> dict[str, Distribution]:
        return {
            os.path.normpath(os.path.join(site, path)): one
            for site, record in self._records.items()
            for path, one in record.items()
            if path.startswith("../")
        }

    @cached_property
    def _starts(self) -> list[tuple[str, str]]:
        """The beginnings of paths in site directories, the longest first."""
        found = {os.path.join(path, ""): site for site in self.sites for path in (os.path.realpath(site), site)}
        return sorted(found.items(), key=lambda one: -len(one[0]))

    def _owner_in(self, site: str, path: str) -> Distribution | None:
        record = self._records[site]
        if path in record:
            return record[path]
        above = path
        while "/" in above:
            above = above.rpartition("/")[0]
            found = record.get(f"{above}/__init__.py")
            if found is not None:
                return found
        top = path.partition("/")[0].partition(".")[0]
        without = (one for one in self._by_top.get(top, ()) if one.site == site and one.record is None)
        return next(without, None) or self._by_metadata.get(os.path.join(site, path.partition("/")[0]))

    @cached_property
    def _by_metadata(self) -> dict[str, Distribution]:
        return {one.metadata: one for one in self}


def wanted(
    installed: Installed, tops: Iterable[str] | Mapping[str, str], *, everything: bool, engine: str = ENGINE
) -> Wanted:
    """What a program needs: what provides the import names `tops`, and what that requires. Never the engine.

    `tops` may be a mapping, with a reason for each. With `everything` all that the virtual environment has of its own
    is wanted too.
    """
    why = tops if isinstance(tops, Mapping) else dict.fromkeys(tops, "")
    seeds: dict[str, str] = {}
    for top, reason in why.items():
        for one in installed.of_import(top):
            seeds.setdefault(one.name, reason or f"provides {top}")
    requirements = Requirements(lambda name: None if canonical(name) == engine else installed.by_name(name))
    needed = frozenset(requirements.closure(seeds))
    if everything:
        for one in filter(installed.is_own, installed):
            seeds.setdefault(one.name, "installed in the virtual environment")
    seeds.pop(engine, None)
    reasons = requirements.closure(seeds)
    found = (installed.by_name(name) for name in sorted(reasons))
    return Wanted(
        distributions=tuple(one for one in found if one is not None),
        reasons=reasons,
        needed=needed,
        requires={name: requirements.of(name) for name in reasons if name not in needed},
    )


def plan_units(
    installed: Installed, wanted: Iterable[Distribution], reasons: Mapping[str, str], memory: Path | None = None
) -> list[PlannedUnit]:
    """A unit for each distribution; `reasons` by name. What an earlier site directory hides on the path is left out.

    What is found is remembered in `memory`, a directory of the user's.
    """
    inventories = Inventories(memory, installed) if memory is not None else None
    return [
        PlannedUnit(
            name=one.name,
            kind=UnitKind.distribution,
            version=one.version,
            reason=reasons.get(one.name, ""),
            sources=_visible(installed, one, _sources(installed, one, reasons.get(one.name, ""), inventories)),
        )
        for one in wanted
    ]


def _sources(installed: Installed, one: Distribution, reason: str, inventories: Inventories | None) -> Sequence[Source]:
    def is_owned(path: str) -> bool:
        return installed.is_recorded(one.site, path)

    def found(looked_at: LookedAt | None = None) -> Sequence[Source]:
        return contents.sources(one, installed.editable(one), owned=is_owned, reason=reason, looked_at=looked_at)

    if inventories is None or installed.editable(one) is not None:
        return tuple(found())
    known = inventories.recall(one, reason)
    return inventories.noted(one, reason, found) if known is None else known


def _visible(installed: Installed, one: Distribution, sources: Sequence[Source]) -> Sequence[Source]:
    """All site directories become one on a worker: what would have been hidden at home must not mix with what hid it."""
    before = installed.sites[: installed.site_number(one)]
    hidden = {top for top in one.tops for site in before if _has_module(site, top)} if before else ()
    return tuple(_not_hidden(sources, hidden)) if hidden else sources


def _not_hidden(sources: Iterable[Source], hidden: Collection[str]) -> Iterator[Source]:
    for source in sources:
        top = source.path.removeprefix("site/").partition("/")[0].partition(".")[0]
        if top not in hidden or not source.path.startswith("site/") or _is_metadata(source.path):
            yield source


def _is_metadata(path: str) -> bool:
    return path.split("/")[1].endswith((".dist-info", ".egg-info"))


def _has_module(site: str, top: str) -> bool:
    return os.path.isfile(os.path.join(site, top, "__init__.py")) or os.path.isfile(os.path.join(site, f"{top}.py"))


def _provides(editable: Editable, top: str) -> bool:
    if top in editable.tops:
        return True
    places = (os.path.join(root, top) for root in editable.roots)
    return any(os.path.isdir(place) or os.path.isfile(f"{place}.py") for place in places)


def _is_site(directory: str) -> bool:
    return os.path.basename(directory) in _SITE_NAMES


def _is_standard(directory: str) -> bool:
    """Whether it is the standard library's."""
    return os.path.basename(directory) == "lib-dynload" or os.path.isfile(os.path.join(directory, "os.py"))


def _is_housekeeping(name: str) -> bool:
    return name in _LEFT_BY_INSTALLERS or name.startswith("~") or bool(split_name(name)[0])


def _distributions(directory: str) -> list[Distribution]:
    """The distributions that a directory holds, one for each name."""
    found: dict[str, list[Distribution]] = defaultdict(list)
    is_site = _is_site(directory)
    if directory.endswith(".egg"):
        return list(_egg(directory))
    for entry in sorted(entries_of(directory)):
        name, suffix = split_name(entry)
        metadata = os.path.join(directory, entry)
        if suffix == ".egg-link":
            found[name] += _linked(name, directory, metadata)
        elif name and (is_site or (suffix == ".dist-info" and os.path.isfile(os.path.join(metadata, "RECORD")))):
            found[name].append(Distribution(name=name, site=directory, metadata=metadata))
    return [many[0] if len(many) == 1 else max(many, key=_age) for many in found.values() if many]


def _egg(directory: str) -> Iterator[Distribution]:
    """The distribution that is a directory of its own on the import path."""
    metadata = os.path.join(directory, "EGG-INFO")
    if os.path.isdir(metadata):
        name = canonical(os.path.basename(directory).partition("-")[0])
        yield Distribution(name=name, site=directory, metadata=metadata)


def _age(distribution: Distribution) -> tuple[bool, float]:
    """Of two that say that they are the same, the one that is whole, and was installed last."""
    for name in ("RECORD", "METADATA", "PKG-INFO"):
        try:
            return name != "PKG-INFO", os.stat(os.path.join(distribution.metadata, name)).st_mtime
        except OSError:
            continue
    return False, 0.0


def _linked(name: str, site: str, link: str) -> Iterator[Distribution]:
    try:
        with open(link, encoding="utf-8", errors="surrogateescape") as file:
            target = os.path.normpath(os.path.join(site, file.readline().strip()))
    except OSError:
        return
    for entry in entries_of(target):
        if entry.endswith(".egg-info") and split_name(entry)[0] == name:
            yield Distribution(name=name, site=site, metadata=os.path.join(target, entry), link=target)
