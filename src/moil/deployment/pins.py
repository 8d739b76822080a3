"""What a run has pinned: the deployment, and what of a start changes from run to run.

A run's first leader pins a deployment, and each restart that takes new code pins another; workers are told the name of
the pin, and believe it under the run's key. Variables of the user's may be secrets, so pins lie below ``private/``.
STORED FORMAT: JSON with a `FORMAT`; fields may be added with defaults.
"""

from __future__ import annotations

import json
from typing import Any

from moil.deployment import signing
from moil.errors import DamagedError
from moil.ports.job_store import JobStore
from moil.record import as_dict, field, record

FORMAT = 1
_PREFIX = "private/pins/"


@record
class InPlace:
    """Code that workers read where it lies (``--deploy live`` and ``off``)."""

    #: The interpreter of the leader's environment.
    python: str
    #: Entries of the import path that stand before the standard library.
    path: tuple[str, ...] = ()
    script: str = ""
    module: str = ""
    #: SHA-256 of the user's files, by path; empty if they are not checked.
    digests: dict[str, str] = field(default_factory=dict)


@record
class Pin:
    """How the workers of a run start."""

    run: str
    deployment: str
    #: ``sys.argv`` behind the script's name.
    argv: tuple[str, ...] = ()
    #: Options of the interpreter.
    flags: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    #: Modules that hold jobs, beside the main module.
    modules: tuple[str, ...] = ()
    isolation: str = "job"
    log_limit: int = 0
    work_dir: str = ""
    in_place: InPlace | None = None
    #: When, in seconds since the epoch.
    at: float = 0.0


def names(store: JobStore) -> list[str]:
    """All pins of the run, oldest first."""
    return [key.removeprefix(_PREFIX) for key in store.keys(_PREFIX)]


def write(store: JobStore, key: bytes, pin: Pin) -> str:
    """Pin it; the name."""
    name = f"{len(names(store)) + 1:06d}"
    where = _PREFIX + name
    store.put(where, signing.sign(key, where, json.dumps({"format": FORMAT, **as_dict(pin)}).encode()), if_absent=True)
    return name


def read(store: JobStore, key: bytes, name: str) -> Pin:
    """The pin. Raises DamagedError."""
    where = _PREFIX + name
    try:
        parsed: dict[str, Any] = json.loads(signing.verify(key, where, store.get(where)))
        found = parsed.pop("format")
        if found != FORMAT:
            raise DamagedError(f"pin {name} has format {found}; this version of Moil reads {FORMAT}")
        place = parsed.pop("in_place")
        for many in ("argv", "flags", "modules"):
            parsed[many] = tuple(parsed[many])
        in_place = InPlace(**{**place, "path": tuple(place["path"])}) if place else None
        return Pin(in_place=in_place, **parsed)
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedError(f"pin {name} of the job store is damaged: {error}") from error
