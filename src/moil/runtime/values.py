"""From the graph to what a worker needs: the task of a job, with the values of the promises in it."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from moil.core.graph import Job
from moil.core.policy import effective
from moil.core.records import Data, PromiseRef
from moil.core.requirements import Ceiling, Request, Requirements, excess, parse_field
from moil.core.workflow import Workflow
from moil.errors import CallError, RequirementError
from moil.record import names
from moil.runtime import codec
from moil.runtime.codec import StoredValue
from moil.runtime.records import Needs, Task


def task_of(workflow: Workflow, job: Job, requirements: Requirements, ceiling: Ceiling) -> Task:
    """All that the job's next attempt needs to know."""
    siblings = [workflow.graph.sibling(job, index) for index in job.call.needs]
    return Task(
        job=job.id,
        attempt=job.attempt,
        name=job.call.name,
        call=job.call.task,
        base=job.id - job.index,
        values=collect(workflow, siblings),
        needs=Needs(requirements, ceiling),
        service=job.call.service,
    )


def collect(workflow: Workflow, wanted: Iterable[Job]) -> tuple[StoredValue, ...]:
    """The values of these jobs and of all that is promised in them, descendants before ancestors."""
    found: dict[int, Job] = {}
    todo = list(wanted)
    while todo:
        job = todo.pop()
        if job.id not in found:
            found[job.id] = job
            todo.extend(workflow.graph.child(job, index) for index in job.refs)
    return tuple(_stored(found[job]) for job in sorted(found, reverse=True))


def _stored(job: Job) -> StoredValue:
    assert job.value is not None, f"{job} is fulfilled and has no value"
    return StoredValue(job.id, job.call.name, job.first_child, bool(job.refs), job.value)


def requirements_of(workflow: Workflow, job: Job, read: Callable[[Data], bytes]) -> Requirements:
    """What to submit the job with; promised requirements are looked up. Raises RequirementError."""
    request = job.call.request
    if job.call.promised:
        request = _with_promised(workflow, job, read)
    found = effective(workflow.policy, request, job.tries)
    too_much = excess(_as_request(found), workflow.policy.ceiling)
    if too_much:
        raise RequirementError(f"job {job} asks for {too_much}: lower it, or run where there is more")
    return found


def _as_request(found: Requirements) -> Request:
    return Request(cores=found.cores, memory=found.memory, disk=found.disk, accelerators=found.accelerators)


def plain_request(asked: Mapping[str, object], name: str) -> Request:
    """The request of a call that nothing can be promised to. Raises RequirementError."""
    fields = {field: parse_field(field, value, job=name) for field, value in asked.items()}
    return Request(**fields)  # type: ignore[arg-type]


def _with_promised(workflow: Workflow, job: Job, read: Callable[[Data], bytes]) -> Request:
    fields = {name: getattr(job.call.request, name) for name in names(Request)}
    for name, ref in job.call.promised:
        source = workflow.graph.sibling(job, ref.call)
        value = _peek(workflow, source, ref, read)
        try:
            fields[name] = parse_field(name, value, job=str(job))
        except RequirementError as error:
            raise RequirementError(f"{error}; it was promised by {source}") from None
    return Request(**fields)


def _peek(workflow: Workflow, source: Job, ref: PromiseRef, read: Callable[[Data], bytes]) -> object:
    """A user's value, looked at in the leader: nothing of the user's is imported or run for it."""
    built: dict[int, Any] = {}
    values = {value.job: value for value in collect(workflow, [source])}

    def of(first: int) -> Callable[[int, codec.Steps], Any]:
        return lambda call, path: _take(built[first + call], path)

    try:
        for value in values.values():
            built[value.job] = _InertUnpickler(read(value.data), of(value.first_child)).load()
    except (pickle.UnpicklingError, TypeError, AttributeError, ValueError, LookupError) as error:
        raise RequirementError(f"a requirement was promised by {source}, whose value is no plain data: {error}") from error
    try:
        return _number(_take(built[source.id], ref.path))
    except CallError as error:
        raise RequirementError(f"a requirement was promised by {source}: {error}") from error


class _Inert:
    """Stands for an object of any class: keeps its parts, does nothing."""

    parts: tuple[Any, ...]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made.parts = args
        made.__dict__.update(kwargs)
        return made

    def __call__(self, *args: Any) -> _Inert:
        return _Inert(*args)

    def __setitem__(self, key: Any, value: Any) -> None:
        """An item of a mapping that nobody asks for."""

    def append(self, item: Any) -> None:
        """An item of a sequence that nobody asks for."""

    def __setstate__(self, state: Any) -> None:
        fields, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        for part in (fields, slots):
            if isinstance(part, dict):
                self.__dict__.update(part)


_HARMLESS: Mapping[str, tuple[str, ...]] = {
    "builtins": (
        *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int"),
        *("list", "range", "set", "slice", "str", "tuple"),
    ),
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque"),
}


class _InertUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, resolve: Callable[[int, codec.Steps], Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._resolve = resolve

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (codec.__name__, "fulfil"):
            return self._resolve
        if name in _HARMLESS.get(module, ()):
            return super().find_class(module, name)
        return type(name, (_Inert,), {"__module__": module})


def _take(value: Any, path: codec.Steps) -> Any:
    for how, key in path:
        if isinstance(value, _Inert) and how == "item" and isinstance(key, int) and key < len(value.parts):
            value = value.parts[key]
        else:
            value = codec.take(value, ((how, key),), "it")
    return value


_NUMPY = "iuf"


def _number(value: object) -> object:
    """A NumPy scalar is a dtype and its bytes; as a requirement it is as good as a number."""
    if isinstance(value, _Inert) and type(value).__module__.startswith("numpy") and len(value.parts) == 2:
        dtype, data = value.parts
        code = str(getattr(dtype, "parts", ("",))[0])
        if isinstance(data, bytes) and code[:1] in _NUMPY:
            if code[0] == "f":
                return _float(data)
            return int.from_bytes(data, "little", signed=code[0] == "i")
    return value


def _float(data: bytes) -> float:
    found: tuple[float] = struct.unpack({2: "<e", 4: "<f"}.get(len(data), "<d"), data)
    return found[0]
