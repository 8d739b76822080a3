"""Run one attempt's function, and say what came of it. No processes, no limits: see `runtime.supervisor` for those."""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from moil.authoring.context import ambient
from moil.core.records import Failure, Outcome
from moil.errors import MoilError, ServiceFailed
from moil.ports.job_store import JobStore
from moil.record import record
from moil.runtime import codec
from moil.runtime.files import FileAccess
from moil.runtime.recorder import AttemptRecorder
from moil.runtime.records import OutcomeRecord, Task

if TYPE_CHECKING:
    from traceback import TracebackException

LONGEST_TRACEBACK = 20_000


@record
class Place:
    """Where an attempt runs: its own directories, and what it shares with others."""

    store: JobStore
    cache: Path
    scratch: Path
    files: Path
    deferred: Path


class Execution:
    """One attempt of a job or a service, in this process."""

    def __init__(self, task: Task, place: Place) -> None:
        #: It is to be brought up and stopped, not run.
        self.is_service = task.service
        self._task = task
        self._outcome = OutcomeRecord(job=task.job, attempt=task.attempt)
        self._store = place.store
        self._files = FileAccess(place.store, place.cache, place.files, place.scratch)
        self._recorder = AttemptRecorder(
            task, place.store, files=self._files, scratch=place.scratch, deferred_calls=place.deferred
        )
        self._generator: Iterator[Any] | None = None

    def run(self) -> OutcomeRecord:
        """Call the job; never raises."""
        before, ambient.recorder = ambient.recorder, self._recorder
        try:
            callee, args, kwargs = self._load()
            return self._completed(callee.fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            return self._failed(error)
        finally:
            ambient.recorder = before

    def start(self) -> OutcomeRecord:
        """Bring a service up: the record holds what it yielded; never raises."""
        try:
            with ambient.recording(self._recorder):
                callee, args, kwargs = self._load()
                self._generator = iter(callee.fn(*args, **kwargs))
                try:
                    value = next(self._generator)
                except StopIteration:
                    raise ServiceFailed(f"service {self._task.name} ended without a yield") from None
                return self._completed(value)
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            return self._failed(error)

    def stop(self) -> OutcomeRecord:
        """Let a service go on after its yield, to its end; never raises."""
        assert self._generator is not None, "only a service that is up can be stopped"
        self._outcome = OutcomeRecord(job=self._task.job, attempt=self._task.attempt)
        try:
            with ambient.recording(self._recorder):
                try:
                    next(self._generator)
                except StopIteration:
                    return self._completed(None)
                raise ServiceFailed(f"service {self._task.name} yielded twice; it may do so only once")  # noqa: TRY301
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            return self._failed(error)

    def _load(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        task = self._task
        data = codec.fetch(task.call, self._store)
        resolve = codec.resolver(task.base, task.values, lambda key: codec.fetch(key, self._store)) if task.values else None
        loaded: tuple[Any, tuple[Any, ...], dict[str, Any]] = codec.loads(data, resolve)
        return loaded

    def _completed(self, value: Any) -> OutcomeRecord:
        try:
            data, found = self._recorder.encoder.dumps(value)
        except MoilError:
            raise
        except Exception as error:
            raise MoilError(
                f"what job {self._task.name} returned cannot be stored: {error}; return plain data, a File or a promise"
            ) from error
        outcome, calls, saved = self._outcome, self._recorder.calls, self._files.saved
        outcome.value = codec.place(data, self._store)
        if found.refs:
            outcome.refs = tuple(sorted(found.refs))
        if calls:
            outcome.calls = tuple(calls)
        if saved or found.files:
            outcome.files = tuple(sorted(saved | found.files))
        return outcome

    def _failed(self, error: BaseException) -> OutcomeRecord:
        kind = Outcome.out_of_memory if isinstance(error, MemoryError) else Outcome.failed
        return OutcomeRecord(job=self._task.job, attempt=self._task.attempt, outcome=kind, failure=describe(error))


def describe(error: BaseException) -> Failure:
    """An exception as people want to read it: one line, the innermost frame of their own code, the traceback."""
    text = "".join(_told(_traceback().TracebackException.from_exception(error)).format())
    return Failure(
        error=_one_line(error),
        where=_where(error.__traceback__),
        traceback=text if len(text) <= LONGEST_TRACEBACK else f"…{text[-LONGEST_TRACEBACK:]}",
        host=socket.gethostname(),
    )


def _one_line(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the job called sys.exit({error.code!r})"
    if isinstance(error, MemoryError):
        return "MemoryError: the job could not get more memory"
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}" if text else name


_ENGINE = str(Path(__file__).parent.parent)


def _traceback() -> Any:
    """Brought in when a job has failed: no other process has to carry it about."""
    return importlib.import_module("traceback")


def _told(found: TracebackException) -> TracebackException:
    """Without the engine's own frames, and without what is behind an error of the engine's: its message says all."""
    one: TracebackException | None = found
    while one is not None:
        one.stack[:] = [frame for frame in one.stack if not frame.filename.startswith(_ENGINE)]
        for frame in one.stack:
            _ = frame.line  # it is looked up in the file under its real name, and kept
            frame.filename = shown(frame.filename)
        if one.exc_type is not None and issubclass(one.exc_type, MoilError):
            one.__cause__ = one.__context__ = None
        one = one.__cause__ or one.__context__
    return found


def _where(trace: TracebackType | None) -> str:
    found = ""
    for frame, line in _traceback().walk_tb(trace):
        if _is_users(frame):
            found = f"{shown(frame.f_code.co_filename)}:{line} in {frame.f_code.co_qualname}"
    return found


def shown(file: str) -> str:
    """A file as the user knows it: on another machine the program lies in a view (`moil.deployment.view`), root by root."""
    inner = file.removeprefix(_ROOTS)
    return inner.partition(os.sep)[2] if inner != file else file


def _is_users(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return not file.startswith(_NOT_USERS) and "/site-packages/" not in file


_ROOTS = os.path.join(sys.prefix, "roots", "")
_NOT_USERS = ("<frozen", _ENGINE, os.path.dirname(os.__file__))
