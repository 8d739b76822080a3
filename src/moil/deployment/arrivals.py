"""On a worker: what joins a view later, because it is fetched on demand (see `moil.deployment.on_demand`).

    <view>/on-demand/
      <import name>     JSON: what has to come when this is imported; removed when all of it is here
      .from/<name>      where a run that used the view had it from: its job store, and its engine on this machine
    <view>/lib/python3.11/site-packages/
      _moil_on_demand.py, 0_moil_on_demand.pth    see `moil.deployment.import_hook`

What comes is linked into the site directory, as what was there from the beginning. Who imports such a name meanwhile
waits for the lock under which views are made; a process that is killed half-way has removed no name, so the next import
begins again.

STORED FORMAT, in caches of workers: whoever changes it changes `moil.deployment.view.FORMAT`, as runs of other versions of
Moil may use the same view.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from moil.deployment import import_hook
from moil.deployment.cache import Cache, Lease
from moil.deployment.links import link_tree
from moil.deployment.manifest import Deployment, Unit
from moil.errors import DeploymentError, MoilError
from moil.ports.job_store import JobStore
from moil.record import as_dict, record

PLACE, SOURCES, ARRIVED = "on-demand", ".from", ".arrived"
HOOK, STARTER = "_moil_on_demand.py", "0_moil_on_demand.pth"
"""The starter's name sorts before those of all that a distribution may have."""
MOST_SOURCES = 200
"""Most of them are gone, which is soon found out; and a run must not lose its own while it lasts."""


@record
class Source:
    """Where a run has what it brings to a machine: the locator of its job store, and the directory of its engine there."""

    store: str
    engine: str


def await_in(view: Path, site: Path, deployment: Deployment) -> None:
    """Have everything that the deployment leaves for later come when it is imported. Raises OSError."""
    if not deployment.on_demand:
        return
    place = view / PLACE
    (place / SOURCES).mkdir(parents=True)
    for name in {name for one in deployment.on_demand for name in one.import_names}:
        asked = [one for one in deployment.on_demand if name in one.import_names]
        wanted = {required for one in asked for required in (one.unit.name, *one.requires)}
        awaited = {
            "site": str(site.relative_to(view)),
            "units": [as_dict(one.unit) for one in deployment.on_demand if one.unit.name in wanted],
        }
        (place / name).write_text(json.dumps(awaited))
    (site / HOOK).write_text(Path(import_hook.__file__).read_text())
    (site / STARTER).write_text(f"import {HOOK.removesuffix('.py')}\n")


def note(view: Path, source: Source) -> Path:
    """Remember that all can be had there; the file that says so. The last to be used is asked first.

    Raises DeploymentError.
    """
    told = f"{source.store}\0{source.engine}"
    place = view / PLACE / SOURCES / hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()
    try:
        for old in _notes(view)[MOST_SOURCES:]:
            old.unlink(missing_ok=True)
        staged = view / PLACE / f".note-{os.getpid()}"
        staged.write_text(told, encoding="utf-8", errors="surrogateescape")
        staged.replace(place)
    except OSError as error:
        raise _refused(view, error) from error
    return place


def _notes(view: Path) -> list[Path]:
    """The newest first. Another worker may remove any of them."""
    found: list[tuple[int, Path]] = []
    for path in (view / PLACE / SOURCES).iterdir():
        with suppress(FileNotFoundError):
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def _locators(view: Path) -> Iterator[str]:
    """Of the job stores that runs had it from, the last one's first."""
    for path in _notes(view):
        with suppress(FileNotFoundError):
            yield path.read_text(encoding="utf-8", errors="surrogateescape").partition("\0")[0]


def bring(view: Path, name: str, open_store: Callable[[str], JobStore]) -> None:
    """Have what this import name stands for in the view. Raises DeploymentError."""
    cache = Cache(view.parent.parent, force=True)
    lease = cache.keep(view.name)
    try:
        with cache.making(view.name):
            awaited = _awaited(view, name)
            if awaited is not None:
                _fetch(view, awaited, cache, open_store)
    except OSError as error:
        raise _refused(view, error) from error
    finally:
        lease.close()


def _refused(view: Path, error: OSError) -> DeploymentError:
    return DeploymentError(
        f"the worker's cache {view.parent.parent} cannot be written: {error.strerror or error}; free some space there, or "
        "choose another place with --worker-cache"
    )


@record(kw_only=False)
class _Awaited:
    """What a name stands for."""

    site: Path
    units: tuple[Unit, ...]


def _awaited(view: Path, name: str) -> _Awaited | None:
    """What is missing; None: nothing."""
    try:
        told = json.loads((view / PLACE / name).read_bytes())
    except FileNotFoundError:
        return None
    return _Awaited(view / told["site"], tuple(Unit(**row) for row in told["units"]))


def _fetch(view: Path, awaited: _Awaited, cache: Cache, open_store: Callable[[str], JobStore]) -> None:
    here = _arrived(view)
    missing = [one for one in awaited.units if one.digest not in here]
    leases = _ensured(view, missing, cache, open_store)
    try:
        for unit in missing:
            link_tree(cache.directory(unit) / "site", awaited.site)
            here.add(unit.digest)
    finally:
        for one in leases:
            one.close()
    (view / PLACE / ARRIVED).write_text("\n".join(sorted(here)))
    for marker in (view / PLACE).iterdir():
        other = None if marker.name.startswith(".") else _awaited(view, marker.name)
        if other is not None and here.issuperset(one.digest for one in other.units):
            marker.unlink()


def _arrived(view: Path) -> set[str]:
    """The digests of what has joined the view."""
    with suppress(FileNotFoundError):
        return set((view / PLACE / ARRIVED).read_text().split())
    return set()


def _ensured(view: Path, units: list[Unit], cache: Cache, open_store: Callable[[str], JobStore]) -> list[Lease]:
    """Have the units in the cache, from the first source that has them. Raises DeploymentError, OSError."""
    trouble = ""
    for locator in _locators(view):
        try:
            return cache.ensure_all(units, open_store(locator))
        except DeploymentError:
            raise  # it is about this machine, and no other store will do
        except MoilError as error:
            trouble = trouble or str(error)
    raise DeploymentError(trouble or "no job store is known that has it")
