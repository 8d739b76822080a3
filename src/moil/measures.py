"""The measures that the engine's settings are given in, and the policy that they come to."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TypeVar

from moil.core.policy import Policy
from moil.core.requirements import Ceiling, Requirements, parse_accelerators, parse_cores, parse_duration, parse_size
from moil.engine_settings import EngineSettings
from moil.settings import Units

N = TypeVar("N", int, float)

UNITS: Units = MappingProxyType(
    {"size": parse_size, "duration": parse_duration, "cores": parse_cores, "accelerators": parse_accelerators}
)
"""What judges the settings that have a unit; for `moil.settings.resolve`."""


def to_policy(settings: EngineSettings, ceiling: Ceiling) -> Policy:
    """The run's policy; `ceiling` is the batch system's own, and the user's can only be lower."""
    return Policy(
        retries=settings.retries,
        backoff=settings.retry_backoff,
        fail_fast=settings.fail_fast,
        defaults=Requirements(
            cores=parse_cores(settings.default_cores, "default-cores"),
            memory=parse_size(settings.default_memory, "default-memory"),
            disk=parse_size(settings.default_disk, "default-disk"),
            walltime=_parsed(parse_duration, settings.default_walltime, "default-walltime"),
        ),
        ceiling=Ceiling(
            cores=_lower(_parsed(parse_cores, settings.max_cores, "max-cores"), ceiling.cores),
            memory=_lower(_parsed(parse_size, settings.max_memory, "max-memory"), ceiling.memory),
            disk=_lower(_parsed(parse_size, settings.max_disk, "max-disk"), ceiling.disk),
            accelerators=_lower(settings.max_accelerators, ceiling.accelerators),
        ),
    )


def _parsed(parse: Callable[[object, str], N], value: object, what: str) -> N | None:
    return None if value is None else parse(value, what)


def _lower(one: N | None, other: N | None) -> N | None:
    return min((bound for bound in (one, other) if bound is not None), default=None)
