"""Which settings there are for this process, and what they are.

There are the engine's, those of the adapters that come with it, and those of the batch system that is asked for, which
may be another distribution's. Other distributions are looked through only if one of them is asked for, because that takes
as long as a third of a small run.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from moil import plugins
from moil.engine_settings import EngineSettings
from moil.errors import UsageError
from moil.measures import UNITS
from moil.settings import Given, Resolved, arguments, resolve


def settings_from(given: Mapping[str, Given] = MappingProxyType({})) -> Resolved:
    """Every setting, from what was given, variables and files. Raises UsageError."""
    known = plugins.settings_classes()
    found = resolve(*known, given=given, units=UNITS, others=plugins.offered_settings)
    classes = plugins.settings_classes(found[EngineSettings].batch_system)
    if classes == known:
        return found
    return resolve(*classes, given=given, units=UNITS, others=plugins.offered_settings)


def given_by_caller(values: Mapping[str, object], flags: Mapping[str, Given]) -> dict[str, Given]:
    """What a call of `moil.run` says, and the flags that it passes on. Raises UsageError for a setting that is unknown."""
    if not values:
        return dict(flags)
    said = values.get("batch_system") or (flags["batch_system"].value if "batch_system" in flags else None)
    classes = plugins.settings_classes(str(said) if said else configured())
    return {**flags, **arguments(values, *classes)}


def configured() -> str:
    """The batch system that variables and files ask for. What is wrong with them is said by whoever needs them."""
    with suppress(UsageError):
        found: str = settings_from()[EngineSettings].batch_system
        return found
    return ""
