"""Run one program to its end, and say what it cost.

Everything the program starts is counted, however it detaches itself: this process is a child subreaper, so orphans
become its children, and what is still alive when the program has ended is killed. Linux only.

CPU is what the kernel charged to all children that were reaped; a system whose daemons reap their own children in a way
that loses their time (Ray's does) is caught by sampling every process's own time, and the larger of the two counts.
Memory of the whole tree is the sum of *proportional* set sizes: pages that processes share (forks share most of theirs)
are counted once. It is sampled, so a peak shorter than the interval can be missed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_TICK = os.sysconf("SC_CLK_TCK")
_MIB = 1024 * 1024
LOOK_AT_LEADER = 0.02
LOOK_AT_TREE = 0.1


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one run of a program cost."""

    status: int  #: exit status; negative: the signal that ended it
    timed_out: bool
    wall: float  #: seconds from just before exec to just after the program was reaped
    cpu: float  #: seconds of CPU, user and system, of everything started
    leader_cpu: float  #: of the program's own process alone
    foreign: float  #: share of the machine's CPU time that went to anything else meanwhile
    leader_mib: float  #: VmHWM of the program's own process
    tree_mib: float  #: largest sampled sum of PSS over all processes
    processes: int  #: most processes at one time
    written_mib: float  #: blocks that all processes dirtied
    left_mib: float  #: what lies in the work directory afterwards
    left_files: int
    survivors: int  #: processes still alive half a second after the program's end; killed
    output: str


def become_subreaper() -> None:
    """Orphans among our descendants become our children."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(argv: Sequence[str], *, env: Mapping[str, str], work: Path, timeout: float) -> Cost:
    """Run the program in `work`, which should be empty, and clean up after it."""
    log = work / "output.log"
    before, machine, own = resource.getrusage(resource.RUSAGE_CHILDREN), _machine_cpu(), time.process_time()
    with log.open("wb") as output:
        started = time.monotonic()
        leader = subprocess.Popen(
            argv, env=dict(env), cwd=work, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    watch = _Watch(leader.pid)
    timed_out = not watch.until(started + timeout)
    if timed_out:
        leader.kill()
    status = leader.wait()
    wall = time.monotonic() - started
    machine_used, own_used = _machine_cpu() - machine, time.process_time() - own
    survivors = end_descendants(0.5)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = max(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, sum(watch.cpu.values()))
    text = log.read_text(errors="replace")
    log.unlink()
    size, files = _left(work)
    return Cost(
        status=status,
        timed_out=timed_out,
        wall=wall,
        cpu=cpu,
        leader_cpu=watch.leader_cpu,
        foreign=max(0.0, machine_used - own_used - cpu) / (wall * (os.cpu_count() or 1)),
        leader_mib=watch.leader_peak / 1024,
        tree_mib=watch.tree_peak / 1024,
        processes=watch.most,
        written_mib=(after.ru_oublock - before.ru_oublock) * 512 / _MIB,
        left_mib=size / _MIB,
        left_files=files,
        survivors=survivors,
        output=text,
    )


class _Watch:
    """Samples a program and all below it while it runs."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self.leader_peak = 0  # KiB, like all sizes in /proc
        self.leader_cpu = 0.0
        self.tree_peak = 0
        self.most = 0
        #: By process id and start time: seconds of CPU that the process itself has used.
        self.cpu: dict[tuple[int, str], float] = {}

    def until(self, deadline: float) -> bool:
        """Whether the program ended in time."""
        end = os.pidfd_open(self._leader)
        try:
            poll = select.poll()
            poll.register(end, select.POLLIN)
            next_tree = time.monotonic() + LOOK_AT_TREE / 2
            while not poll.poll(LOOK_AT_LEADER * 1000):
                now = time.monotonic()
                if now > deadline:
                    return False
                self._look_at_leader()
                if now >= next_tree:
                    self._look_at_tree()
                    # A look at many processes takes long: it must not become a load of its own.
                    next_tree = time.monotonic() + max(LOOK_AT_TREE, 30 * (time.monotonic() - now))
            return True
        finally:
            os.close(end)

    def _look_at_leader(self) -> None:
        self.leader_peak = max(self.leader_peak, _field(f"/proc/{self._leader}/status", "VmHWM:"))
        found = _stat(self._leader)
        if found:
            self.leader_cpu = max(self.leader_cpu, found[1])

    def _look_at_tree(self) -> None:
        total = 0
        alive = list(_descendants(os.getpid()))
        for pid in alive:
            total += _field(f"/proc/{pid}/smaps_rollup", "Pss:")
            found = _stat(pid)
            if found:
                self.cpu[pid, found[0]] = found[1]
        self.tree_peak, self.most = max(self.tree_peak, total), max(self.most, len(alive))


def _field(path: str, name: str) -> int:
    with contextlib.suppress(OSError), open(path) as lines:
        for line in lines:
            if line.startswith(name):
                return int(line.split()[1])
    return 0


def _stat(pid: int) -> tuple[str, float] | None:
    """When the process started, and the seconds of CPU it has used without its children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[19], (int(fields[11]) + int(fields[12])) / _TICK


def _descendants(pid: int) -> Iterator[int]:
    todo = [pid]
    while todo:
        one = todo.pop()
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{one}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{one}/task/{thread}/children") as listing:
                    for child in map(int, listing.read().split()):
                        yield child
                        todo.append(child)


def _machine_cpu() -> float:
    """Seconds that all processors have spent on anything but waiting."""
    with open("/proc/stat") as lines:
        values = list(map(int, lines.readline().split()[1:9]))
    return (sum(values) - values[3] - values[4]) / _TICK


def end_descendants(seconds: float) -> int:
    """Reap what ends by itself in that time, then kill; how many had to be killed."""
    patience = time.monotonic() + seconds
    while _reap() and time.monotonic() < patience:
        time.sleep(0.01)
    killed = 0
    while _reap():
        for pid in list(_descendants(os.getpid())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        time.sleep(0.02)
    return killed


def _reap() -> bool:
    """Whether there are children left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _left(work: Path) -> tuple[int, int]:
    size = files = 0
    for top, _, names in os.walk(work):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(top, name)).st_blocks * 512
                files += 1
    return size, files
