"""``@moil.service``: something that runs beside its clients, written as a generator with one ``yield``.

Outside a run it is the context manager that `contextlib.contextmanager` would make of it. Inside a job, ``with`` marks
the calls in the block as its clients, and gives a promise of what the generator yields.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from moil.authoring import plain
from moil.authoring.context import Options, ambient
from moil.authoring.job import JobOptions, make_options, original_of
from moil.authoring.promise import Promise
from moil.errors import CallError

P = ParamSpec("P")
T = TypeVar("T")


class Service(Generic[P, T]):
    """A generator function that is a service: use it as ``with service(…) as value:``."""

    def __init__(self, fn: Callable[P, Iterator[T]], settings: Options) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.settings = settings

    @property
    def name(self) -> str:
        """What people see."""
        return self.settings.name or str(getattr(self.fn, "__name__", "service"))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AbstractContextManager[T]:
        """The service, to be entered once."""
        return _Entry(self, args, kwargs)

    def options(self, **given: Unpack[JobOptions]) -> Service[P, T]:
        """The same service with other options. Raises RequirementError."""
        return Service(self.fn, make_options(self.name, self.settings, dict(given)))

    def __repr__(self) -> str:
        return f"<service {self.name}>"

    def __reduce__(self) -> Any:
        original = original_of(self)
        if original is self:
            return str(getattr(self, "__qualname__"))
        return (Service, (self.fn, self.settings)) if original is None else (_with_options, (original, self.settings))

    def bare(self) -> Service[P, T]:
        """The service as it stands in its module, if it does, whatever options this one has been given."""
        return original_of(self) or self


def _with_options(original: Service[P, T], settings: Options) -> Service[P, T]:
    return Service(original.fn, settings)


class _Entry(AbstractContextManager[T]):
    """One use of a service."""

    def __init__(self, service: Service[Any, T], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.service, self.args, self.kwargs = service, args, kwargs
        self._used = False
        self._promise: Promise | None = None
        self._plain: AbstractContextManager[T] | None = None

    def __enter__(self) -> T:
        if self._used:
            raise CallError(f"service {self.service.name} was entered twice; call {self.service.name}(…) again instead")
        self._used = True
        if ambient.recorder is not None:
            self._promise = ambient.recorder.enter(self.service, self.args, self.kwargs)
            return cast(T, self._promise)
        self._plain = contextlib.contextmanager(self.service.fn)(*self.args, **self.kwargs)
        self._job = plain.PlainJob(self.service.name)
        try:
            with plain.as_current(self._job):
                return self._plain.__enter__()
        except BaseException:
            self._job.end()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        if self._promise is not None and ambient.recorder is not None:
            ambient.recorder.leave(self._promise)
            return None
        assert self._plain is not None
        try:
            with plain.as_current(self._job):
                return self._plain.__exit__(kind, error, trace)
        finally:
            self._job.end()


@overload
def service(fn: Callable[P, Iterator[T]], /) -> Service[P, T]: ...


@overload
def service(**options: Unpack[JobOptions]) -> Callable[[Callable[P, Iterator[T]]], Service[P, T]]: ...


def service(fn: Callable[P, Iterator[T]] | None = None, /, **options: Unpack[JobOptions]) -> Any:
    """Make a generator function with one ``yield`` a service. Options as for `moil.job`.

    What stands before the ``yield`` brings it up, what is yielded is given to the clients, and what stands after runs
    when the last client has settled.
    """

    def decorate(function: Callable[P, Iterator[T]]) -> Service[P, T]:
        if not callable(function):
            raise TypeError(f"@moil.service is for generator functions, not for {function!r}")
        name = str(options.get("name") or getattr(function, "__name__", "service"))
        return Service(function, make_options(name, Options(), dict(options)))

    return decorate if fn is None else decorate(fn)
