"""``@moil.job``: a function that a workflow may run elsewhere.

Calls are typed as their value, as if the engine were not there. That is a trade-off, taken from redun: inside a running
job the call returns a `Promise`, and the type checker is told the plain reading of the program.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, cast, overload

from moil.authoring import plain
from moil.authoring.context import Current, Options, ambient
from moil.authoring.promise import Promise
from moil.core.requirements import parse_field
from moil.errors import MoilError, RequirementError

P = ParamSpec("P")
R = TypeVar("R", covariant=True)  # noqa: PLC0105 - R is what everybody calls it


class RequirementOptions(TypedDict, total=False):
    """What a job or a service may ask for. Every value may also be a promise of it."""

    cores: Any
    memory: Any
    disk: Any
    walltime: Any
    accelerators: Any
    preemptible: Any


class JobOptions(RequirementOptions, total=False):
    """All options of a job."""

    retries: int | None
    checkpoint: bool
    local: bool
    name: str


class CallOptions(JobOptions, total=False):
    """All options of one call."""

    after: Any


_REQUEST = frozenset(RequirementOptions.__annotations__)


def make_options(name: str, before: Options, given: dict[str, Any]) -> Options:
    """`before`, changed by what was given. Raises RequirementError, TypeError."""
    request = dict(before.request)
    rest: dict[str, Any] = {}
    for key, value in given.items():
        if key not in _REQUEST:
            rest[key] = value
        elif value is None:
            request.pop(key, None)
        else:
            request[key] = value if isinstance(value, Promise) else parse_field(key, value, job=name)
    retries = rest.get("retries", before.retries)
    if retries is not None and (isinstance(retries, bool) or not isinstance(retries, int) or retries < 0):
        raise RequirementError(f"retries={retries!r} of job {name} is not a count: give 0 or more")
    after = rest.get("after", before.after)
    changed = Options(
        name=rest.pop("name", before.name),
        request=request,
        after=tuple(after) if isinstance(after, list | tuple | set) else (after,),
        retries=rest.pop("retries", before.retries),
        checkpoint=rest.pop("checkpoint", before.checkpoint),
        local=rest.pop("local", before.local),
    )
    rest.pop("after", None)
    if rest:
        raise TypeError(f"job {name} has no option {min(rest)!r}")
    return changed


class JobFunction(Generic[P, R]):
    """A function that is a job: call it inside another job to make a child, anywhere else to run it."""

    def __init__(self, fn: Callable[P, R], settings: Options) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.settings = settings

    @property
    def name(self) -> str:
        """What people see: the function's name unless another was given."""
        return self.settings.name or _name_of(self.fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The value; inside a running job, a promise of it (typed as the value)."""
        recorder = ambient.recorder
        if recorder is None:
            return plain.run(self.name, self.fn, args, kwargs)
        return cast(R, recorder.call(self, args, kwargs))

    def options(self, **given: Unpack[CallOptions]) -> JobFunction[P, R]:
        """The same job with other options; requirements may be promises. Raises RequirementError."""
        return JobFunction(self.fn, make_options(self.name, self.settings, dict(given)))

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return JobFunction(functools.partial(self.fn, instance), self.settings)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<job {self.name}>"

    def __reduce__(self) -> Any:
        original = self.bare()
        if original is self and original_of(self) is self:
            return str(getattr(self, "__qualname__"))
        if original is not self:
            return (_with_options, (original, self.settings))
        return (JobFunction, (self.fn, self.settings))

    def bare(self) -> JobFunction[P, R]:
        """The job as it stands in its module, if it does, whatever options this one has been given."""
        return original_of(self) or self


def _with_options(original: JobFunction[P, R], settings: Options) -> JobFunction[P, R]:
    return JobFunction(original.fn, settings)


def _name_of(fn: Callable[..., Any]) -> str:
    inner = fn.func if isinstance(fn, functools.partial) else fn
    name: str = getattr(inner, "__name__", type(inner).__name__)
    return name


def original_of(wrapper: Any) -> Any:
    """What stands under the wrapper's dotted name, if it wraps the same function; None if it cannot be found there."""
    found = found_at(getattr(wrapper, "__module__", None), getattr(wrapper, "__qualname__", ""))
    return found if type(found) is type(wrapper) and found.fn is wrapper.fn else None


def found_at(module: str | None, qualname: str) -> Any:
    """What another process will find under this dotted name; None if there is nothing, or only in this process."""
    found: Any = sys.modules.get(module or "")
    file = getattr(found, "__file__", None)
    if (file is None or file.startswith("<")) and getattr(found, "__spec__", None) is None:
        return None
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


@overload
def job(fn: Callable[P, R], /) -> JobFunction[P, R]: ...


@overload
def job(**options: Unpack[JobOptions]) -> Callable[[Callable[P, R]], JobFunction[P, R]]: ...


def job(fn: Callable[P, R] | None = None, /, **options: Unpack[JobOptions]) -> Any:
    """Make a function a job.

    Options: cores, memory, disk, walltime, accelerators, preemptible, retries, checkpoint, local, name.
    Sizes are bytes or text such as ``"4 GiB"``, times are seconds or text such as ``"2 h"``. What is not given comes
    from the command line (``--default-memory`` and so on). Raises RequirementError for a malformed requirement.
    """

    def decorate(function: Callable[P, R]) -> JobFunction[P, R]:
        if not callable(function):
            raise TypeError(f"@moil.job is for functions, not for {function!r}")
        name = str(options.get("name") or _name_of(function))
        return JobFunction(function, make_options(name, Options(), dict(options)))

    return decorate if fn is None else decorate(fn)


def defer(fn: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
    """Call ``fn(*args, **kwargs)`` when this attempt ends, however it ends; on the same machine, at least once.

    Raises MoilError outside a job.
    """
    if ambient.recorder is not None:
        ambient.recorder.defer(fn, args, kwargs)
    elif plain.running:
        plain.running[-1].deferred.append(functools.partial(fn, *args, **kwargs))
    else:
        raise MoilError("moil.defer was called outside a job: there is no attempt whose end it could wait for")


def current() -> Current:
    """The attempt that is running. Raises MoilError outside a job."""
    if ambient.recorder is not None:
        return ambient.recorder.current
    if plain.running:
        return plain.running[-1]
    raise MoilError("moil.current was called outside a job")
