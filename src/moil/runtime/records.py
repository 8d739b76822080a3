"""What leader and worker tell each other: the task of an attempt, and its outcome.

STORED FORMAT: on a cluster both are objects in the job store. A record is the letter M, the number of its format, and a
tuple as `marshal` writes it (its version 4, which every Python that Moil runs on reads): of plain data only, so reading
it runs nothing, and quick, because a process that lives for one job reads it with cold memory. A change that an older
worker could misread needs a new number. Data stands in the tuple as bytes, or as the text of its key.
"""

from __future__ import annotations

import functools
import marshal
from typing import Any

from moil.core.records import Call, Data, Failure, Outcome, PromiseRef, Stored
from moil.core.requirements import Accelerator, Ceiling, Request, Requirements
from moil.errors import DamagedError
from moil.record import field, record
from moil.runtime.codec import StoredValue

FORMAT = 2
_MARSHAL = 4
_HEAD = b"M" + bytes([FORMAT])

Fields = tuple[Any, ...]


class Needs:
    """What an attempt is submitted with, and the most that there is: read when somebody asks, which few jobs do."""

    __slots__ = ("_ceiling", "_requirements")

    def __init__(self, requirements: Requirements | Fields, ceiling: Ceiling | Fields) -> None:
        self._requirements, self._ceiling = requirements, ceiling

    @property
    def requirements(self) -> Requirements:
        """The attempt's."""
        found = self._requirements
        return _requirements(found) if isinstance(found, tuple) else found

    @property
    def ceiling(self) -> Ceiling:
        """The batch system's."""
        found = self._ceiling
        return Ceiling(**dict(zip(_CEILING, found, strict=True))) if isinstance(found, tuple) else found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Needs) and (self.requirements, self.ceiling) == (other.requirements, other.ceiling)

    __hash__ = None  # type: ignore[assignment]


@record(frozen=False)
class Task:
    """Everything an attempt needs but the code: what to call, and the values of the promises in its arguments."""

    job: int
    attempt: int
    name: str
    call: Data
    #: The id of its parent's first call: promises in the arguments are counted from it.
    base: int
    values: tuple[StoredValue, ...] = ()
    needs: Needs = field(default_factory=lambda: Needs(Requirements(), Ceiling()))
    service: bool = False

    @property
    def token(self) -> str:
        """The attempt's name in the run."""
        return token(self.job, self.attempt)

    @property
    def requirements(self) -> Requirements:
        """What the attempt is submitted with."""
        return self.needs.requirements

    @property
    def ceiling(self) -> Ceiling:
        """The most that the batch system can give a job."""
        return self.needs.ceiling


@record(frozen=False)
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
    values = tuple((one.job, one.name, one.first_child, one.has_refs, _put(one.data)) for one in task.values)
    needs = _plain(task.needs.requirements), _plain(task.needs.ceiling)
    fields = (task.job, task.attempt, task.name, _put(task.call), task.base, values, needs, task.service)
    return _HEAD + marshal.dumps(fields, _MARSHAL)


def decode_task(data: bytes) -> Task:
    """The task. Raises DamagedError."""
    try:
        job, attempt, name, call, base, values, (requirements, ceiling), service = _unpack(data, "task")
        return Task(
            job=job,
            attempt=attempt,
            name=name,
            call=_get(call),
            base=base,
            values=tuple([StoredValue(one, named, first, refs, _get(data)) for one, named, first, refs, data in values]),
            needs=Needs(requirements, ceiling),
            service=service,
        )
    except _DAMAGE as error:
        raise _damaged("task", error) from error


def encode_outcome(record: OutcomeRecord) -> bytes:
    """The outcome as bytes."""
    failure = record.failure
    told = None if failure is None else (failure.error, failure.where, failure.traceback, failure.host)
    calls = tuple(map(_call_fields, record.calls)) if record.calls else ()
    value = _put(record.value)
    fields = (record.job, record.attempt, str(record.outcome), value, record.refs, calls, record.files, told)
    return _HEAD + marshal.dumps(fields, _MARSHAL)


def decode_outcome(data: bytes) -> OutcomeRecord:
    """The outcome. Raises DamagedError."""
    try:
        job, attempt, outcome, value, refs, calls, files, told = _unpack(data, "outcome")
        return OutcomeRecord(
            job=job,
            attempt=attempt,
            outcome=_OUTCOMES[outcome],
            value=_get(value),
            refs=refs,
            calls=tuple(map(_call, calls)),
            files=files,
            failure=None if told is None else Failure(**dict(zip(_FAILURE, told, strict=True))),
        )
    except _DAMAGE as error:
        raise _damaged("outcome", error) from error


_OUTCOMES = {one.value: one for one in Outcome}
_FAILURE = ("error", "where", "traceback", "host")
_REQUEST = ("cores", "memory", "disk", "walltime", "accelerators", "preemptible")
_CEILING = ("cores", "memory", "disk", "accelerators")


_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, EOFError)
"""What reading a record can raise that is not as it was written."""


def _damaged(what: str, error: Exception) -> DamagedError:
    return DamagedError(f"a {what} record is damaged: {type(error).__name__}: {error}")


def _unpack(data: bytes, what: str) -> Fields:
    if not data.startswith(_HEAD):
        if data.startswith(b"M") and len(data) > 1:
            raise DamagedError(f"a {what} record has format {data[1]}; this version of Moil reads {FORMAT}")
        raise ValueError("it does not begin as a record does")
    found = marshal.loads(memoryview(data)[len(_HEAD) :])  # noqa: S302 - from a socket of ours, or signed
    if not isinstance(found, tuple):
        raise TypeError("it is no tuple")
    return found


def _put(data: Data) -> bytes | str:
    return data.key if isinstance(data, Stored) else data


def _get(found: bytes | str) -> Data:
    return Stored(found) if isinstance(found, str) else found


@functools.lru_cache(maxsize=256)
def _plain(value: Requirements | Request | Ceiling) -> Fields:
    names = _CEILING if isinstance(value, Ceiling) else _REQUEST
    fields = [getattr(value, name) for name in names]
    if not isinstance(value, Ceiling) and fields[4] is not None:
        fields[4] = tuple((one.kind, one.count, one.model) for one in fields[4])
    return tuple(fields)


_NO_REQUEST = Request()
_PLAIN = (False, (), (), (), None, (), None, False, False)


def _call_fields(call: Call) -> Fields:
    """Only its name and its task, if the rest is that of a plain call: a fan-out has many, and all alike."""
    rest: Fields = (
        call.service,
        call.needs,
        call.after,
        call.services,
        None if call.request == _NO_REQUEST else _plain(call.request),
        tuple((name, ref.call, tuple(map(_step, ref.path))) for name, ref in call.promised),
        call.retries,
        call.checkpoint,
        call.local,
    )
    task = _put(call.task)
    return (call.name, task) if rest == _PLAIN else (call.name, task, *rest)


def _step(step: tuple[str, str | int]) -> tuple[str, str | int]:
    """A key may be of a class of its own, which marshal does not know."""
    how, key = step
    return how, str(key) if isinstance(key, str) else int(key)


def _call(fields: Fields) -> Call:
    if len(fields) == 2:
        return Call(name=fields[0], task=_get(fields[1]))
    name, task, service, needs, after, services, request, promised, retries, checkpoint, local = fields
    return Call(
        name=name,
        task=_get(task),
        service=service,
        needs=needs,
        after=after,
        services=services,
        request=_NO_REQUEST if request is None else _request(request),
        promised=tuple((field, PromiseRef(call=call, path=path)) for field, call, path in promised) if promised else (),
        retries=retries,
        checkpoint=checkpoint,
        local=local,
    )


@functools.lru_cache(maxsize=256)
def _request(fields: Fields) -> Request:
    return Request(**_named(fields))


@functools.lru_cache(maxsize=256)
def _requirements(fields: Fields) -> Requirements:
    return Requirements(**_named(fields))


def _named(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip(_REQUEST, fields, strict=True))
    if found["accelerators"] is not None:
        accelerators = (Accelerator(kind=kind, count=count, model=model) for kind, count, model in found["accelerators"])
        found["accelerators"] = tuple(accelerators)
    return found
