"""A pilot's place for attempts: a supervisor that has imported the user's program, and the near ends of its sockets.

The supervisor is a fork of the pilot, and imports the program itself, so that the pilot stays free of the user's code.
When that fails, or leaves threads behind (a fork of a process with threads may hang), another takes its place that leaves
the import to each job, where the error belongs to the job that meets it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket

from moil.errors import MoilError
from moil.record import changed
from moil.runtime import job_process, messages, processes
from moil.runtime.mailbox import Order
from moil.runtime.messages import Message
from moil.runtime.practice import practise
from moil.runtime.remote_worker import clean_up_after
from moil.runtime.slot import House, Sockets
from moil.runtime.supervisor import Supervisor
from moil.runtime.zygote import other_threads, tried

READY = b"Y"
"""What a supervisor says when the program is there, before all else."""
_PACKETS = socket.AF_UNIX, socket.SOCK_SEQPACKET


class Berth:
    """One supervisor after another."""

    def __init__(self, house: House, home: str) -> None:
        self._house, self._home = house, home
        self._preloads = True
        self._pid = 0
        self.ready = False
        self.channel = self._queue = self._far_queue = socket.socket()

    def open(self) -> None:
        """Start one. Raises MoilError if the last one never got ready, although it had nothing to import."""
        if self._pid and not self.ready:
            if not self._preloads:
                raise MoilError("a pilot's supervisor cannot be started; its log says why")
            self._preloads = False
        self.ready = False
        self.channel, far_channel = socket.socketpair(*_PACKETS)
        self._queue, self._far_queue = socket.socketpair(*_PACKETS)
        self._pid = os.fork()
        if self._pid == 0:
            self.channel.close()
            self._queue.close()
            self._supervise(Sockets(far_channel, self._far_queue))
        far_channel.close()
        self.channel.setblocking(False)

    def give(self, order: Order) -> bool:
        """Send an attempt ahead; False: there is no room for it now."""
        task = Message(messages.TASK, order.token, order.record, wall=order.walltime, memory=order.memory)
        try:
            self._queue.send(task.packet(f"{self._house.work}/{order.token}.order"), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            pass  # it is gone: the channel's end says so, and nobody has begun this
        return True

    def take_back(self) -> set[str]:
        """The tokens of those that were sent and nobody has begun. They are here again."""
        return set(messages.drain(self._far_queue))

    def kill(self, token: str) -> None:
        """End what runs."""
        with contextlib.suppress(OSError):
            self.channel.send(Message(messages.KILL, token).packet())

    def received(self) -> bytes | None:
        """The packet that has come; None: none, b"": the supervisor is gone."""
        try:
            return self.channel.recv(messages.PACKET)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def clean_up(self) -> None:
        """After a supervisor that was killed."""
        self._hang_up()
        processes.kill_children()
        clean_up_after(self._house, self._home)

    def close(self) -> None:
        """The supervisor ends when it is alone, and has cleaned up then."""
        self._hang_up()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        processes.kill_children()

    def _hang_up(self) -> None:
        for one in (self.channel, self._queue, self._far_queue):
            one.close()

    # -- the supervisor's process --------------------------------------------------------------------------------

    def _supervise(self, sockets: Sockets) -> None:
        code = 1
        try:
            self._serve(sockets)
            code = 0
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and the process ends
            os.write(2, f"{messages.FAILED}{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

    def _serve(self, sockets: Sockets) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        house = self._house
        if self._preloads:
            house = changed(house, load=tried(house.load))
            if other_threads():
                return
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if house.isolation == "job":
            practise()
        job_process.freeze()
        supervisor = Supervisor(sockets, house, house.work / self._home)
        (house.work / f"{self._home}.log").unlink()  # it is read through its descriptor
        sockets.channel.send(READY)
        supervisor.serve()
