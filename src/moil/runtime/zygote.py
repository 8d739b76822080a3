"""The process from which a machine's supervisors are forked: a fresh interpreter that has imported the user's modules.

It is fresh, and not a fork of the leader, so that a job on a laptop sees what it would see on a cluster: the program's
modules, and nothing that the guarded block has set up. When importing the user's modules fails, or leaves threads
behind (a fork of a process with threads may hang), every job imports them for itself, in its own process; there the
error belongs to the job that meets it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from moil.authoring import plain
from moil.core import wire
from moil.errors import MoilError
from moil.ports.job_store import JobStore
from moil.runtime import deferred, entry, job_process, messages, processes
from moil.runtime.practice import practise
from moil.runtime.slot import House, Sockets, run_deferred
from moil.runtime.supervisor import Supervisor

PATIENCE = 5.0
"""Seconds that supervisors get to clean up when the leader is gone."""


class Zygote:
    """Forks supervisors on demand, each on sockets that come with the order."""

    def __init__(self, channel: socket.socket, open_store: Callable[[str], JobStore]) -> None:
        self._channel, self._open_store = channel, open_store
        self._supervisors: set[int] = set()

    def serve(self) -> None:
        """Until the leader is gone."""
        processes.become_subreaper()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        practise()  # the leader has yet to find out what is to be run
        job_process.freeze()
        payload, _ = self._receive()
        header, _ = wire.unpack(payload)
        house = self._settle(header)
        threads = other_threads()
        self._channel.send(wire.frame(wire.READY, wire.pack({"threads": threads})))
        if threads:
            return
        if header["sweep"]:
            self._sweep(house, header["sweep"])
        try:
            while True:
                payload, sockets = self._receive()
                header, _ = wire.unpack(payload)
                if sockets:
                    channel, queue = (socket.socket(fileno=one) for one in sockets)
                    self._fork(Sockets(channel, queue), house, house.work / header["home"])
                else:
                    self._sweep(house, header["directories"])
        except (EOFError, ConnectionResetError):
            self._let_supervisors_end()
            processes.kill_children()

    def _let_supervisors_end(self) -> None:
        """Their sockets are closed too: each ends its job, and runs what that deferred."""
        patience = time.monotonic() + PATIENCE
        for pid in self._supervisors:
            with contextlib.suppress(ProcessLookupError):
                end = os.pidfd_open(pid)
                processes.wait_for(end, patience - time.monotonic())
                os.close(end)

    def _receive(self) -> tuple[bytes, list[int]]:
        """One message and the sockets that came with it. Reaps supervisors that have ended meanwhile."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        while not poll.poll(1000):
            self._end_orphans()
        data, sockets, _, _ = socket.recv_fds(self._channel, 1 << 18, 16)
        if not data:
            raise EOFError
        return next(iter(wire.FrameReader().feed(data)))[1], list(sockets)

    def _end_orphans(self) -> None:
        """What a supervisor left behind that was itself killed."""
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                self._supervisors.discard(pid)
        for child in processes.children(os.getpid()):
            if child not in self._supervisors:
                processes.kill_tree(child)

    def _settle(self, header: dict[str, Any]) -> House:
        program = entry.from_header(header["entry"])
        sys.path[:] = program.path
        sys.argv[:] = program.argv or [""]
        os.environ.update(header["env"])
        modules = header["modules"]

        def load() -> None:
            entry.load(program)
            for name in modules:
                importlib.import_module(name)

        house = House(
            store=self._open_store(header["store"]),
            work=Path(header["work"]),
            cache=Path(header["work"]) / "cache",
            load=tried(load) if header["preload"] else load,
            log_limit=header["log_limit"],
            isolation=header["isolation"],
            host=socket.gethostname(),
            has_outboxes=True,
        )
        job_process.freeze()
        return house

    def _sweep(self, house: House, directories: Sequence[str]) -> None:
        """Clean up after attempts whose supervisor died: end their processes, run their deferred calls."""
        self._end_orphans()
        for directory in map(Path, directories):
            if deferred.pending(directory / "deferred"):
                with (house.work / "deferred.log").open("ab") as log:
                    run_deferred(directory / "deferred", house.load, log.fileno(), keep=self._supervisors)
            plain.discard(directory)

    def _fork(self, sockets: Sockets, house: House, home: Path) -> None:
        pid = os.fork()
        if pid == 0:
            self._channel.close()
            code = 1
            try:
                Supervisor(sockets, house, home, terse=True).serve()
                code = 0
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
                os.write(2, f"{messages.FAILED}{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(code)
        self._supervisors.add(pid)
        sockets.channel.close()
        sockets.queue.close()


def tried(load: Callable[[], None]) -> Callable[[], None]:
    """Load now; the result is what each job calls, and does nothing if that went well."""
    try:
        load()
    except (Exception, SystemExit):  # noqa: BLE001 - the error belongs to the job that meets it again
        return load
    return _nothing


def _nothing() -> None:
    """All is loaded."""


def other_threads() -> int:
    """How many there are beside this one; a program that has not imported `threading` has none."""
    threading: Any = sys.modules.get("threading")
    return threading.active_count() - 1 if threading else 0


def connect(descriptor: int) -> socket.socket:
    """The socket that the leader left open for this process. Raises MoilError."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise MoilError("this process is started by Moil's leader, not by hand") from error
