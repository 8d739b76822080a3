"""The user's objects as bytes, and back.

By reference where a file exists, by value otherwise: a function or class that can be found again under its module and
name is stored as that name (plain pickle, fast); anything else goes through cloudpickle. The two kinds of object that
mean something else on another machine are replaced while pickling: a promise by "the k-th call of this parent", a file
by its digest. The stored form of a promise is a call of `fulfil`, which `loads` replaces by the function that knows the
value; so neither a store nor a global table is behind it, and what is stored can be read by any later version that
keeps the name of `fulfil` and its two arguments.

STORED FORMAT: `fulfil(call, path)` and `stored_file(name, digest, size)` stand in journals and job stores.
"""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, NoReturn

from moil.authoring.file import File, stored_file
from moil.authoring.job import found_at
from moil.authoring.promise import Promise, details
from moil.core.records import Data, Stored
from moil.errors import CallError, DamagedError, MoilError, PromiseError
from moil.ports.job_store import JobStore
from moil.record import field, record

PROTOCOL = 5
INLINE = 32 * 1024
"""Bytes up to which data stands in a record itself. Larger data is an object of its own in the job store."""

_SIMPLE = frozenset({bool, bytes, float, int, str, type(None)})
"""What can hold neither a promise nor a file."""

Steps = tuple[tuple[str, Any], ...]
MakeFile = Callable[[str, str, int], File]


@record(kw_only=False, frozen=False)
class Found:
    """What a pickle refers to."""

    refs: set[int] = field(default_factory=set)
    files: set[str] = field(default_factory=set)


_NOTHING_FOUND = Found()


def fulfil(call: int, path: Steps) -> NoReturn:
    """The stored form of a promise. Never called: `loads` puts the real thing in its place."""
    raise PromiseError("stored bytes that hold a promise were unpickled without their values")


class _ByValueNeeded(Exception):
    """A function or a class cannot be found again by its name."""


class Encoder:
    """Pickles what one attempt hands on. `origin` is whose promises are its own, `save` stores a file."""

    def __init__(self, origin: object, save: Callable[[File], File]) -> None:
        self.origin = origin
        self.save = save

    def dumps(self, value: object) -> tuple[bytes, Found]:
        """The value as bytes. Raises PromiseError, CallError, and whatever pickle raises."""
        if type(value) in _SIMPLE:
            return pickle.dumps(value, PROTOCOL), _NOTHING_FOUND
        found = Found()
        try:
            return self._dump(_ReferencePickler, value, found), found
        except MoilError:
            raise
        except (_ByValueNeeded, pickle.PicklingError, TypeError, AttributeError):
            found = Found()
            return self._dump(_by_value().ValuePickler, value, found), found

    def _dump(self, kind: type[Any], value: object, found: Found) -> bytes:
        buffer = io.BytesIO()
        kind(buffer, self, found).dump(value)
        return buffer.getvalue()

    def reduce(self, value: object, found: Found) -> Any:
        """How a promise or a file is stored; NotImplemented for anything else."""
        if type(value) is Promise:
            promise = details(value)
            if promise.origin is not self.origin:
                raise PromiseError(
                    f"{promise.describe()} is a promise of another job's call; a job can only hand on promises of its own"
                    " calls: pass the value as an argument instead"
                )
            found.refs.add(promise.call)
            return fulfil, (promise.call, promise.path)
        if type(value) is File:
            stored = value if value.digest is not None else self.save(value)
            assert stored.digest is not None
            found.files.add(stored.digest)
            return stored_file, (stored.name, stored.digest, stored.size)
        return NotImplemented


_BY_NAME = (FunctionType, type)


class _ReferencePickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, encoder: Encoder, found: Found) -> None:
        super().__init__(buffer, PROTOCOL)
        self._encoder, self._found = encoder, found

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _BY_NAME) and not by_reference(obj):
            raise _ByValueNeeded
        return self._encoder.reduce(obj, self._found)


def _by_value() -> Any:
    """Brought in when it is needed: most runs store nothing by value, and every process that starts would pay for it."""
    return importlib.import_module("moil.runtime.by_value")


def by_reference(value: Any) -> bool:
    """Whether a function or a class can be found again under its module and name."""
    return found_at(value.__module__, value.__qualname__) is value


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, resolve: Callable[[int, Steps], Any], make_file: MakeFile) -> None:
        super().__init__(io.BytesIO(data))
        self._resolve, self._make_file = resolve, make_file

    def find_class(self, module: str, name: str) -> Any:
        if name == "fulfil" and module == __name__:
            return self._resolve
        if name == "stored_file" and module == stored_file.__module__:
            return self._make_file
        return super().find_class(module, name)


def loads(data: bytes, resolve: Callable[[int, Steps], Any] | None = None, make_file: MakeFile = stored_file) -> Any:
    """The object; `resolve(call, path)` gives the values of promises in it, `make_file` makes its files."""
    if resolve is None and make_file is stored_file:
        return pickle.loads(data)
    return _Unpickler(data, resolve or fulfil, make_file).load()


def take(value: Any, path: Steps, name: str) -> Any:
    """Part of a value, as a promise named it. Raises CallError if there is no such part."""
    for how, key in path:
        try:
            value = value[key] if how == "item" else getattr(value, key)
        except (LookupError, AttributeError, TypeError) as error:
            step = f"[{key!r}]" if how == "item" else f".{key}"
            raise CallError(
                f"{name} returned a {type(value).__name__}, which has no {step} ({type(error).__name__}: {error})"
            ) from error
    return value


@record(kw_only=False)
class StoredValue:
    """What a job returned: its promises are calls `first_child + k`."""

    job: int
    name: str
    first_child: int
    has_refs: bool
    data: Data


def resolver(
    base: int, values: Sequence[StoredValue], read: Callable[[Data], bytes], make_file: MakeFile = stored_file
) -> Callable[[int, Steps], Any]:
    """Gives promises their values: call k is job `base + k`. `values` come with descendants before ancestors.

    Every value is built once, and each part of it is one object, as it is in the plain program.
    """
    stored = {value.job: value for value in values}
    built: dict[int, Any] = {}

    def of(first: int) -> Callable[[int, Steps], Any]:
        def resolve(call: int, path: Steps) -> Any:
            job = first + call
            return take(built[job], path, stored[job].name)

        return resolve

    for value in values:
        built[value.job] = loads(read(value.data), of(value.first_child) if value.has_refs else None, make_file)
    return of(base)


def place(data: bytes, store: JobStore) -> Data:
    """Where the data is to stand: itself when it is small, else the key of an object made of it."""
    if len(data) <= INLINE:
        return data
    key = f"values/{content_digest(data)}"
    store.put(key, data)
    return Stored(key)


def fetch(data: Data, store: JobStore) -> bytes:
    """The bytes behind data. Raises DamagedError if an object is not what its key says."""
    if isinstance(data, bytes):
        return data
    found = store.get(data.key)
    if content_digest(found) != data.key.rpartition("/")[2]:
        raise DamagedError(f"object {data.key} of the job store is damaged: its content does not match its name")
    return found


def content_digest(data: bytes) -> str:
    """The SHA-256 of the bytes, in hexadecimal."""
    import hashlib

    return hashlib.sha256(data).hexdigest()
