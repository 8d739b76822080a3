"""Finds adapters: those that come with Moil, and those that other distributions offer as entry points.

The groups are ``moil.job_stores`` (named after a URL scheme; called with the locator and whether to create the store),
``moil.batch_systems`` and ``moil.schedulers`` (called with a `Site`; a scheduler is made a batch system by
`moil.runtime.cluster`), and ``moil.settings`` (a settings class, under the name of its adapter). The built-in ones are
known without looking anything up, because a worker has the engine's code but not its metadata.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from moil.errors import UsageError
from moil.record import record

if TYPE_CHECKING:
    from moil.engine_settings import EngineSettings
    from moil.ports.batch_system import BatchSystem
    from moil.ports.job_store import DurableStore
    from moil.ports.reactor import Reactor
    from moil.ports.scheduler import Scheduler
    from moil.runtime.interpreter import Interpreter

STORES = "moil.job_stores"
BATCH_SYSTEMS = "moil.batch_systems"
SCHEDULERS = "moil.schedulers"
SETTINGS = "moil.settings"

_BUILT_IN: Mapping[str, Mapping[str, str]] = {
    STORES: {"file": "moil.adapters.directory:open_directory"},
    BATCH_SYSTEMS: {"local": "moil.adapters.local:on_this_machine"},
    SCHEDULERS: {
        "processes": "moil.adapters.processes:open_processes",
        "slurm": "moil.adapters.slurm:open_slurm",
    },
    SETTINGS: {"slurm": "moil.adapters.slurm_settings:SlurmSettings"},
}


@record
class Site:
    """What a batch system is made with."""

    settings: EngineSettings
    #: The adapters' own settings, by class.
    others: Mapping[type[Any], Any]
    reactor: Reactor
    #: How to start a worker on this machine, and what to tell it.
    command: Sequence[str]
    env: Mapping[str, str]
    header: Mapping[str, Any]
    #: This run's directory for temporary files on this machine.
    work: Path
    #: A worker that has been started already, if so.
    ahead: Interpreter | None = None


def open_store(locator: str, *, create: bool = False) -> DurableStore:
    """The job store that a locator names. Raises UsageError, StoreError."""
    if locator == "memory:":
        raise UsageError(
            "a memory job store lives in one process, and workers are others; give a directory, or use moil.testing"
        )
    scheme, separator, _ = locator.partition("://")
    factory = _factory(STORES, scheme if separator else "file", "job store")
    return cast("DurableStore", factory(locator, create=create))


def object_file(store: DurableStore, key: str) -> Path:
    """The file that a machine without the engine can read an object from. Raises UsageError if there is none."""
    try:
        found: Path = cast(Any, store).object_path(key)
    except AttributeError:
        why = f"workers on other machines cannot begin from the job store {store.locator}; use a directory"
        raise UsageError(why) from None
    return found


def open_batch_system(name: str, site: Site) -> BatchSystem:
    """The batch system of this name. Raises UsageError."""
    return cast("BatchSystem", _factory(BATCH_SYSTEMS, name, "batch system")(site))


def open_scheduler(name: str, site: Site) -> Scheduler:
    """The scheduler of this name. Raises UsageError."""
    return cast("Scheduler", _factory(SCHEDULERS, name, "batch system")(site))


def is_scheduler(name: str) -> bool:
    """Whether the batch system of this name is a scheduler of many machines. Raises UsageError if there is neither."""
    if name in _BUILT_IN[BATCH_SYSTEMS]:
        return False
    if name in _BUILT_IN[SCHEDULERS] or name in _entry_points(SCHEDULERS):
        return True
    if name not in _entry_points(BATCH_SYSTEMS):
        known = sorted({*_BUILT_IN[BATCH_SYSTEMS], *_BUILT_IN[SCHEDULERS], *_entry_points(BATCH_SYSTEMS)})
        raise UsageError(f"there is no batch system {name!r}{_nearest(name, known)}; known are {', '.join(known)}")
    return False


def settings_classes(batch_system: str = "") -> tuple[type[Any], ...]:
    """The engine's settings and those of the adapters; of other distributions' those of this batch system."""
    from moil.engine_settings import EngineSettings

    names = list(_BUILT_IN[SETTINGS])
    if batch_system and batch_system not in {*_BUILT_IN[BATCH_SYSTEMS], *_BUILT_IN[SCHEDULERS]}:
        names += [name for name in offered_settings() if name == batch_system]
    classes = [_factory(SETTINGS, name, "settings class") for name in names]
    return (EngineSettings, *cast("list[type[Any]]", classes))


def offered_settings() -> Collection[str]:
    """The names under which other distributions have settings classes."""
    return _entry_points(SETTINGS)


def _factory(group: str, name: str, what: str) -> Callable[..., Any]:
    target = _BUILT_IN[group].get(name)
    if target is None:
        offered = _entry_points(group)
        if name not in offered:
            known = sorted({*_BUILT_IN[group], *offered})
            raise UsageError(f"there is no {what} {name!r}{_nearest(name, known)}; known are {', '.join(known)}")
        target = offered[name]
    module, _, attribute = target.partition(":")
    try:
        return cast(Callable[..., Any], getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{what} {name!r} cannot be loaded from {target}: {error}") from error


def _nearest(name: str, known: Sequence[str]) -> str:
    """A worker has no use for settings, and need not wait for them."""
    from moil.settings import nearest

    return nearest(name, known)


def _entry_points(group: str) -> dict[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=group)}
