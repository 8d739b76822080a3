"""What a running job's calls go to: they are checked and pickled at once, and done by nobody yet.

A mistake is an error here, at the call, in the user's own stack frame: a wrong argument, one that cannot be stored, a
requirement that no machine can meet, a promise that cannot be waited for.
"""

from __future__ import annotations

import functools
import importlib
from _thread import allocate_lock
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from moil.authoring import plain
from moil.authoring.context import Callee, Options
from moil.authoring.file import File
from moil.authoring.promise import Details, Promise, details, return_hint
from moil.core.records import Call, PromiseRef
from moil.core.requirements import Request, Requirements, excess
from moil.errors import CallError, MoilError, PromiseError, RequirementError
from moil.ports.job_store import JobStore
from moil.runtime import codec, deferred
from moil.runtime.codec import Encoder
from moil.runtime.files import FileAccess
from moil.runtime.records import Task

if TYPE_CHECKING:
    import inspect


class Attempt:
    """`moil.current()`: the attempt as the job sees it."""

    def __init__(self, task: Task, scratch: Path) -> None:
        self.job_id = task.job
        self.name = task.name
        self.attempt = task.attempt
        self.scratch = scratch
        self._task = task

    @property
    def requirements(self) -> Requirements:
        """What it was given."""
        return self._task.requirements


class AttemptRecorder:
    """Takes down what one attempt of a job calls, saves and defers."""

    def __init__(self, task: Task, store: JobStore, *, files: FileAccess, scratch: Path, deferred_calls: Path) -> None:
        self.current = Attempt(task, scratch)
        self.calls: list[Call] = []
        self.encoder = Encoder(self, lambda file: files.save(file.path()))
        self._task = task
        self._store = store
        self._files = files
        self._deferred = deferred_calls
        self._services: list[int] = []
        #: Options without promises, and the request that they are: a fan-out has thousands of calls of one job.
        self._last_request: tuple[Options | None, Request] = None, _NOTHING
        self._lock = allocate_lock()

    def call(self, callee: Callee, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Promise:
        """A child job. Raises TypeError, CallError, PromiseError, RequirementError."""
        if self._task.service:
            return plain.run(callee.name, callee.fn, args, kwargs)  # type: ignore[no-any-return]
        return self._record(callee, args, kwargs, service=False)

    def enter(self, callee: Callee, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Promise:
        """A service, of which the calls up to `leave` are clients."""
        if self._task.service:
            raise CallError(f"service {self._task.name} uses the service {callee.name}; nest them in the job instead")
        promise = self._record(callee, args, kwargs, service=True)
        self._services.append(details(promise).call)
        return promise

    def leave(self, promise: Promise) -> None:
        """The end of the ``with`` block."""
        self._services.remove(details(promise).call)

    def defer(self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Write down a call for the end of the attempt."""
        deferred.add(self._deferred, fn, args, kwargs)

    def save(self, path: str, *, move: bool = False) -> File:
        """Store a file."""
        return self._files.save(path, move=move)

    def fetch(self, file: File) -> Path:
        """A local copy."""
        return self._files.fetch(file)

    def _record(self, callee: Callee, args: Sequence[Any], kwargs: Mapping[str, Any], *, service: bool) -> Promise:
        if not _surely_fit(callee.fn, args, kwargs):
            _check_arguments(callee, args, kwargs)
        request, promised = self._request(callee)
        data, found = self._pickle(callee, args, kwargs)
        with self._lock:
            index = len(self.calls)
            needs = found.refs | {ref.call for _, ref in promised}
            call = Call(
                name=callee.name,
                task=codec.place(data, self._store),
                service=service,
                needs=tuple(sorted(needs)),
                after=self._after(callee),
                services=tuple(self._services),
                request=request,
                promised=promised,
                retries=callee.settings.retries,
                checkpoint=callee.settings.checkpoint,
                local=callee.settings.local,
            )
            self.calls.append(call)
        return Promise(Details(self, index, callee.name, return_hint(callee.fn)))

    def _pickle(self, callee: Callee, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[bytes, codec.Found]:
        try:
            return self.encoder.dumps((callee.bare(), tuple(args), dict(kwargs)))
        except (MoilError, RecursionError) as error:
            if isinstance(error, MoilError):
                raise
            too_deep = f"an argument of job {callee.name} is nested too deeply to be stored; pass a flatter one"
            raise CallError(too_deep) from None
        except Exception as error:
            raise CallError(self._culprit(callee, args, kwargs, error)) from error

    def _culprit(self, callee: Callee, args: Sequence[Any], kwargs: Mapping[str, Any], error: Exception) -> str:
        bound = _signature(callee.fn).bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            try:
                self.encoder.dumps(value)
            except Exception as cause:  # noqa: BLE001 - a user's class may raise anything when it is pickled
                return (
                    f"argument {name!r} of job {callee.name} cannot be stored: {cause}; "
                    "pass plain data, a File or a path, and open or build the rest inside the job"
                )
        return f"job {callee.name} itself cannot be stored: {error}; define it at the top level of a module"

    def _request(self, callee: Callee) -> tuple[Request, tuple[tuple[str, PromiseRef], ...]]:
        given = callee.settings.request
        if not given:
            return _NOTHING, ()
        settings, before = self._last_request
        if settings is callee.settings:
            return before, ()
        known = {name: value for name, value in given.items() if not isinstance(value, Promise)}
        promised = tuple(
            (name, self._reference(value, f"{name} of job {callee.name}"))
            for name, value in given.items()
            if isinstance(value, Promise)
        )
        request = Request(**known)
        too_much = excess(request, self._task.ceiling)
        if too_much:
            raise RequirementError(f"job {callee.name} asks for {too_much}: lower it, or run where there is more")
        if not promised:
            self._last_request = callee.settings, request
        return request, promised

    def _reference(self, promise: Promise, what: str) -> PromiseRef:
        own = self._own(promise, what)
        for how, key in own.path:
            if how == "item" and not isinstance(key, str | int):
                raise PromiseError(f"{what} is {own.describe()}: only text and numbers can be keys there")
        return PromiseRef(call=own.call, path=own.path)

    def _own(self, promise: Promise, what: str) -> Any:
        found = details(promise)
        if found.origin is not self:
            raise PromiseError(f"{what} is {found.describe()}, a promise of another job's call, which it cannot wait for")
        return found

    def _after(self, callee: Callee) -> tuple[int, ...]:
        if not callee.settings.after:
            return ()
        indices = set()
        for one in _promises(callee.settings.after):
            own = self._own(one, f"after= of job {callee.name}")
            if own.call in self._services:
                raise CallError(
                    f"job {callee.name} would wait for ever: it is to run after the service {own.name} has settled, "
                    f"and {own.name} does not settle before {callee.name}, its client, has; call it after the with block"
                )
            indices.add(own.call)
        return tuple(sorted(indices))


def _promises(value: Any) -> Iterator[Promise]:
    """The promises in what `after=` was given, however it is nested; a plain value has settled already."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, Promise):
            yield one
        elif isinstance(one, list | tuple | set | frozenset):
            todo.extend(one)
        elif isinstance(one, dict):
            todo.extend(one.values())


_NOTHING = Request()


def _surely_fit(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether the arguments fit for certain; `inspect` would say so too, but it takes long in a fresh process."""
    if type(fn) is not FunctionType or not _AS_IT_IS.isdisjoint(fn.__dict__):
        return False
    code, given = fn.__code__, len(args)
    named = code.co_varnames[: code.co_argcount]
    only_named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    left = named[max(given, code.co_posonlyargcount) :] + only_named
    if (given > len(named) and not code.co_flags & _MORE) or not (code.co_flags & _MORE_NAMED or kwargs.keys() <= set(left)):
        return False
    needed = {*named[given : len(named) - len(fn.__defaults__ or ())], *only_named} - (fn.__kwdefaults__ or {}).keys()
    return needed <= kwargs.keys() - set(named[: code.co_posonlyargcount]) and kwargs.keys().isdisjoint(named[:given])


_AS_IT_IS = frozenset({"__signature__", "__wrapped__"})
_MORE, _MORE_NAMED = 0x04, 0x08
"""Flags of a function's code: it takes any number of arguments, by position or by name."""


def _check_arguments(callee: Callee, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    signature = _signature(callee.fn)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"job {callee.name} is called wrongly: {error}; call it as {callee.name}{signature}") from None


@functools.lru_cache(maxsize=4096)
def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    found: inspect.Signature = importlib.import_module("inspect").signature(fn)
    return found
