"""Starts the interpreter that becomes a machine's zygote, as early as it can be done.

An interpreter takes a while to come up, and the leader has a lot to bring in meanwhile. So whoever knows that a run will
need one starts it at once; what it is to do it is told over its socket, when that is known.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from moil.authoring import plain
from moil.errors import UsageError

BOOT = "import gc, sys; gc.disable(); sys.path.insert(0, sys.argv.pop(1)); from moil.worker import main; main()"
"""What the interpreter is told to run; its arguments are where the engine is and the number of the open socket. There is no
garbage among what it imports, and to look for it there would take a tenth of the time."""

LINKED = {"LD_BIND_NOW": "Moil"}
"""Makes the dynamic linker look everything up before the program starts. Else it would look up a function when that is first
called, and every fork would be the first to call some (`_exit`); it takes no longer (measured with glibc 2.36)."""

CHANNEL = 3
"""The socket's number there."""
_HIGH = 64


def worker_command(python: str | None) -> list[str]:
    """The words that start a worker on this machine. Raises UsageError."""
    if python is None:
        python = sys.executable
    elif plain.shell().which(python) is None:
        raise UsageError(f"--worker-python {python}: no such program; give the path of a Python interpreter")
    engine = str(Path(__file__).parent.parent.parent)
    return [python, "-P", *interpreter_flags(), "-c", BOOT, engine]


def interpreter_flags() -> list[str]:
    """Warnings, -O and -X options of this interpreter, for those it starts."""
    flags = [f"-{'O' * sys.flags.optimize}"] if sys.flags.optimize else []
    flags += [f"-W{one}" for one in sys.warnoptions]
    flags += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]  # noqa: SLF001
    return [one for one in flags if not one.startswith("-Ximporttime")]


def variables(given: Sequence[str]) -> dict[str, str]:
    """What `--env` asks for. Raises UsageError."""
    found = {}
    for one in given:
        name, separator, value = one.partition("=")
        if separator:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
        else:
            raise UsageError(f"--env {name}: the variable is not set here; give it a value: --env {name}=…")
    return found


class Interpreter:
    """One that has been started. It ends when `channel` is closed, if nothing else ends it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.command, self.env = list(command), dict(env)
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = os.memfd_create("errors")
        self._heard = 0
        with theirs:
            self._pid = _spawn([*command, str(CHANNEL)], LINKED | self.env, theirs.fileno(), self._errors)
        self._pidfd = os.pidfd_open(self._pid)

    def wait(self, seconds: float) -> bool:
        """Whether it ends within that time; then it is reaped."""
        if self._pidfd < 0:
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return False
        os.waitpid(self._pid, 0)
        os.close(self._pidfd)
        self._pidfd = -1
        return True

    def kill(self) -> None:
        """End it and its session at once."""
        os.killpg(self._pid, signal.SIGKILL)
        self.wait(60.0)

    def close(self, seconds: float) -> None:
        """Hang up, and wait until it and all its descendants are gone."""
        self.channel.close()
        if not self.wait(seconds):
            self.kill()
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1

    def new_words(self) -> list[str]:
        """The lines that it, or a fork of it, has written to standard error since this was last asked."""
        if self._errors < 0:
            return []
        text = os.pread(self._errors, os.fstat(self._errors).st_size, self._heard)
        self._heard += len(text)
        return text.decode(errors="replace").splitlines()

    def last_words(self) -> str:
        """The last line that it wrote to standard error; "" if there is none."""
        text = os.pread(self._errors, os.fstat(self._errors).st_size, 0).decode(errors="replace")
        return next(reversed(text.strip().splitlines()), "")


def _spawn(words: list[str], env: Mapping[str, str], channel: int, errors: int) -> int:
    """A process at the head of a session of its own, with nothing open but this."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH) for fd in (channel, errors)]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, high[1], 1),
        (os.POSIX_SPAWN_DUP2, high[1], 2),
        (os.POSIX_SPAWN_DUP2, high[0], CHANNEL),
    ]
    try:
        return os.posix_spawnp(words[0], words, env, file_actions=actions, setsid=True)
    finally:
        for fd in high:
            os.close(fd)
