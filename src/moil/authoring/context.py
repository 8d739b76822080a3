"""What runs the user's code at this moment: nobody, or an attempt of a job.

The law of serial elision rests here. Every feature asks `ambient.recorder`; without one it does the plain thing. The
recorder is process-wide on purpose, not a context variable: threads that a job starts belong to that job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from moil.core.requirements import Requirements
from moil.errors import GuardError, MoilError
from moil.record import field, record

if TYPE_CHECKING:
    from moil.authoring.file import File
    from moil.authoring.promise import Promise


@record(kw_only=False)
class Options:
    """What was written between the brackets of ``@moil.job(…)`` and ``.options(…)``; values may be promises."""

    name: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[Any, ...] = ()
    retries: int | None = None
    checkpoint: bool = False
    local: bool = False


class Callee(Protocol):
    """A job or a service, as the recorder sees it."""

    @property
    def fn(self) -> Callable[..., Any]:
        """The user's function."""
        ...

    @property
    def settings(self) -> Options:
        """Its options."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def bare(self) -> Callee:
        """The same without the options of this one call, as it stands in its module."""
        ...


class Current(Protocol):
    """The attempt that is running, as the job itself may see it."""

    @property
    def job_id(self) -> int:
        """The job's number in the run; 0 outside a run."""
        ...

    @property
    def name(self) -> str:
        """The job's name."""
        ...

    @property
    def attempt(self) -> int:
        """1 for the first attempt, 2 for the first retry, and so on."""
        ...

    @property
    def requirements(self) -> Requirements:
        """What this attempt was given."""
        ...

    @property
    def scratch(self) -> Path:
        """An empty directory of this attempt's own, removed when it ends. It is also the working directory."""
        ...


class Recorder(Protocol):
    """The attempt that is running: takes down calls instead of doing them."""

    @property
    def current(self) -> Current:
        """What `moil.current` gives."""
        ...

    def call(self, callee: Callee, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Promise:
        """A job was called."""
        ...

    def enter(self, callee: Callee, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Promise:
        """A service was entered: the calls up to `leave` are its clients."""
        ...

    def leave(self, promise: Promise) -> None:
        """The service that gave this promise was left."""
        ...

    def defer(self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """A call for the end of the attempt."""
        ...

    def save(self, path: str, *, move: bool = False) -> File:
        """Store a file or directory; with `move` it is gone from its place then."""
        ...

    def fetch(self, file: File) -> Path:
        """A local copy of a stored file."""
        ...


class Ambient:
    """The one place that says what is going on in this process."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        #: A worker is importing the user's modules.
        self.loading = ""

    @contextmanager
    def recording(self, recorder: Recorder) -> Iterator[None]:
        """Calls inside the block are taken down by `recorder`."""
        before, self.recorder = self.recorder, recorder
        try:
            yield
        finally:
            self.recorder = before

    @contextmanager
    def load(self, script: str) -> Iterator[None]:
        """The user's modules are being imported inside the block: starting a run there is an error."""
        before, self.loading = self.loading, script
        try:
            yield
        finally:
            self.loading = before

    def refuse_run(self) -> None:
        """Raises GuardError if a run must not be started here."""
        if self.loading:
            raise GuardError(
                f"{self.loading} starts a run while it is being imported.\n"
                'Put the line that starts the run under:  if __name__ == "__main__":'
            )
        if self.recorder is not None:
            raise MoilError(f"job {self.recorder.current.name} starts a run of its own; call the job directly instead")


ambient = Ambient()
