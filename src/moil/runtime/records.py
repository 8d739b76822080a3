"""What leader and worker tell each other: the task of an attempt, and its outcome.

STORED FORMAT: on a cluster both are objects in the job store. `FORMAT` is in each header; a change that an older
worker could misread needs a new number.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from moil.core import wire
from moil.core.records import Call, Data, Failure, Outcome, PromiseRef, Stored
from moil.core.requirements import Accelerator, Ceiling, Request, Requirements
from moil.errors import DamagedError
from moil.runtime.codec import StoredValue

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Everything an attempt needs but the code: what to call, and the values of the promises in its arguments."""

    job: int
    attempt: int
    name: str
    call: Data
    #: The id of its parent's first call: promises in the arguments are counted from it.
    base: int
    values: tuple[StoredValue, ...] = ()
    requirements: Requirements = field(default_factory=Requirements)
    ceiling: Ceiling = field(default_factory=Ceiling)
    service: bool = False

    @property
    def token(self) -> str:
        """The attempt's name in the run."""
        return token(self.job, self.attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRecord:
    """What came of an attempt, as the worker saw it."""

    job: int
    attempt: int
    outcome: Outcome = Outcome.completed
    value: Data = b""
    refs: tuple[int, ...] = ()
    calls: tuple[Call, ...] = ()
    files: tuple[str, ...] = ()
    failure: Failure | None = None


def token(job: int, attempt: int) -> str:
    """The attempt's name in the run."""
    return f"{job}.{attempt}"


def encode_task(task: Task) -> bytes:
    """The task as bytes."""
    blobs: list[bytes] = []
    header = {
        "format": FORMAT,
        "job": task.job,
        "attempt": task.attempt,
        "name": task.name,
        "base": task.base,
        "service": task.service,
        "call": _put(task.call, blobs),
        "values": [[one.job, one.name, one.first_child, one.has_refs, _put(one.data, blobs)] for one in task.values],
        "requirements": _plain(task.requirements),
        "ceiling": _plain(task.ceiling),
    }
    return wire.pack(header, blobs)


def decode_task(data: bytes) -> Task:
    """The task. Raises DamagedError."""
    with _reading("task"):
        return _task(*_unpack(data, "task"))


def _task(header: dict[str, Any], blobs: Sequence[bytes]) -> Task:
    return Task(
        job=header["job"],
        attempt=header["attempt"],
        name=header["name"],
        base=header["base"],
        service=header["service"],
        call=_get(header["call"], blobs),
        values=tuple(
            StoredValue(job, name, first, has_refs, _get(where, blobs))
            for job, name, first, has_refs, where in header["values"]
        ),
        requirements=_requirements(header["requirements"]),
        ceiling=Ceiling(**header["ceiling"]),
    )


def encode_outcome(record: OutcomeRecord) -> bytes:
    """The outcome as bytes."""
    blobs: list[bytes] = []
    header = {
        "format": FORMAT,
        "job": record.job,
        "attempt": record.attempt,
        "outcome": record.outcome.value,
        "value": _put(record.value, blobs),
        "refs": record.refs,
        "files": record.files,
        "failure": asdict(record.failure) if record.failure else None,
        "calls": [_call_header(call, blobs) for call in record.calls],
    }
    return wire.pack(header, blobs)


def decode_outcome(data: bytes) -> OutcomeRecord:
    """The outcome. Raises DamagedError."""
    with _reading("outcome"):
        return _outcome(*_unpack(data, "outcome"))


def _outcome(header: dict[str, Any], blobs: Sequence[bytes]) -> OutcomeRecord:
    return OutcomeRecord(
        job=header["job"],
        attempt=header["attempt"],
        outcome=Outcome(header["outcome"]),
        value=_get(header["value"], blobs),
        refs=tuple(header["refs"]),
        files=tuple(header["files"]),
        failure=Failure(**header["failure"]) if header["failure"] else None,
        calls=tuple(_call(one, blobs) for one in header["calls"]),
    )


@functools.lru_cache(maxsize=256)
def _plain(value: Requirements | Ceiling) -> dict[str, Any]:
    return asdict(value)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Whatever is wrong with a record, it is damaged. Raises DamagedError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"a {what} record is damaged: {type(error).__name__}: {error}") from error


def _unpack(data: bytes, what: str) -> tuple[dict[str, Any], Sequence[bytes]]:
    header, blobs = wire.unpack(data)
    if header.get("format") != FORMAT:
        raise DamagedError(f"a {what} record has format {header.get('format')}; this version of Moil reads {FORMAT}")
    return header, blobs


def _put(data: Data, blobs: list[bytes]) -> int | str:
    if isinstance(data, Stored):
        return data.key
    blobs.append(data)
    return len(blobs) - 1


def _get(where: int | str, blobs: Sequence[bytes]) -> Data:
    return Stored(where) if isinstance(where, str) else blobs[where]


_PLAIN_CALL = Call(name="", task=b"")
_CALL_FIELDS = ("service", "needs", "after", "services", "retries", "checkpoint", "local")
_NO_REQUEST = Request()


def _call_header(call: Call, blobs: list[bytes]) -> dict[str, Any]:
    """Only what differs from a plain call: a fan-out has many, and all alike."""
    header: dict[str, Any] = {"name": call.name, "task": _put(call.task, blobs)}
    for name in _CALL_FIELDS:
        value = getattr(call, name)
        if value != getattr(_PLAIN_CALL, name):
            header[name] = value
    if call.request != _NO_REQUEST:
        header["request"] = {key: value for key, value in asdict(call.request).items() if value is not None}
    if call.promised:
        header["promised"] = [(name, ref.call, ref.path) for name, ref in call.promised]
    return header


def _call(header: dict[str, Any], blobs: Sequence[bytes]) -> Call:
    known = {name: header[name] for name in _CALL_FIELDS if name in header}
    for name in ("needs", "after", "services"):
        if name in known:
            known[name] = tuple(known[name])
    promised = tuple(
        (name, PromiseRef(call=call, path=tuple((how, key) for how, key in path)))
        for name, call, path in header.get("promised", ())
    )
    request = Request(**_accelerated(header["request"])) if "request" in header else _NO_REQUEST
    return Call(name=header["name"], task=_get(header["task"], blobs), request=request, promised=promised, **known)


def _accelerated(fields: dict[str, Any]) -> dict[str, Any]:
    if fields.get("accelerators") is not None:
        fields = {**fields, "accelerators": tuple(Accelerator(**one) for one in fields["accelerators"])}
    return fields


def _requirements(fields: dict[str, Any]) -> Requirements:
    return Requirements(**_accelerated(fields))
