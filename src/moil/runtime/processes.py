"""What Linux lets a parent know of its children, and do to them.

A supervisor is a *subreaper*: whatever its job starts, however it detaches itself, becomes the supervisor's child when
the job is gone, and is ended then. Where `/proc` or `prctl` is missing (other systems), the same functions fall back to
process groups and say less.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import select
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from os import getppid

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
LINUX = sys.platform == "linux"


def become_subreaper() -> None:
    """Orphans among this process's descendants become its children."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)()


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent (of this id) dies; at once if that has happened already."""
    _die_with_parent()
    if getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> Callable[[], object]:
    if LINUX and _libc is not None:
        return functools.partial(_libc.prctl, option, value, 0, 0, 0)
    return _nothing


def _nothing() -> None:
    """There is no such call here."""


def _load_libc() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None


_libc = _load_libc()
_die_with_parent = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_for(pidfd: int, seconds: float) -> bool:
    """Whether the process that this stands for ends within that time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def age() -> float:
    """Seconds since this process, or what it was before it became Python, was started; 0: that cannot be told."""
    try:
        with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
            began = int(stat.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
            return max(0.0, float(uptime.read().split()[0]) - began)
    except (OSError, ValueError, IndexError):
        return 0.0


def children(pid: int) -> list[int]:
    """The process's children, of all its threads; empty when it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as listing:
                found.extend(map(int, listing.read().split()))
    return found


def tree(pid: int) -> Iterator[int]:
    """The process and all below it."""
    todo = [pid]
    while todo:
        one = todo.pop()
        yield one
        todo.extend(children(one))


def tree_memory(pid: int) -> int:
    """Bytes of memory resident in the process and all below it; memory that they share is counted once a process."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError), open(f"/proc/{one}/statm") as statm:
            fields = statm.read().split()
            total += int(fields[1]) * _PAGE
    return total


def own_memory() -> int:
    """Bytes of memory resident in this process."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * _PAGE
    except OSError:
        return 0


def kill_tree(pid: int, number: int = signal.SIGKILL) -> None:
    """Signal the process, its group and all below it."""
    for one in list(tree(pid)):
        _kill(one, number)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def kill_children(keep: Collection[int] = ()) -> None:
    """End and reap all children of this process but those to keep, until there are none."""
    while keep and (others := [one for one in children(os.getpid()) if one not in keep]):
        for one in others:
            kill_tree(one)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one, 0)
    while not keep:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for one in children(os.getpid()):
            kill_tree(one)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kernel_oom_kills() -> int:
    """How many processes this machine's kernel has killed for want of memory."""
    try:
        text = os.pread(_vmstat(), 1 << 16, 0)
    except OSError:
        return 0
    _, found, rest = text.partition(b"\noom_kill ")
    return int(rest.partition(b"\n")[0]) if found else 0


@functools.lru_cache(maxsize=1)
def _vmstat() -> int:
    return os.open("/proc/vmstat", os.O_RDONLY | os.O_CLOEXEC)
