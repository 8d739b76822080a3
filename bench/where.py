"""Where a job's microseconds go: on the leader by part of the engine, and in a slot by process.

    python bench/where.py --jobs 3000

The leader's part is cProfile's, so it is some two thirds too high and good for shares only; what the slot takes is
measured without a profiler, by feeding a supervisor with attempts and no leader.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import socket
import sys
import tempfile
import time
from pathlib import Path

from moil import program
from moil.adapters.directory import DirectoryStore
from moil.authoring.job import job
from moil.runtime import codec, job_process, messages
from moil.runtime.records import Task, encode_task
from moil.runtime.practice import practise
from moil.runtime.slot import House, Sockets
from moil.runtime.supervisor import Supervisor

PARTS = {
    "waiting": ("'poll' of 'select.epoll'",),
    "disk": ("posix.fdatasync", "posix.fsync", "posix.write", "disk.py", "journal_file.py", "frames.py"),
    "sockets": ("_socket.socket", "slots.py", "adapters/local.py", "messages.py", "reactor.py", "selectors.py"),
    "records": ("marshal", "records.py", "wire.py", "codec.py", "values.py"),
    "journal": ("msgspec", "runtime/journal.py"),
    "workflow": ("/core/",),
    "dispatch": ("dispatch.py", "leader.py"),
    "observers": ("status.py", "progress.py", "logs.py"),
    "start-up": ("importlib", "marshal.loads", "builtins.compile", "settings.py", "program.py", "session.py"),
}


@job(cores=1, memory="100 MiB", disk="1 MiB")
def noop(i: int) -> int:
    return i


@job(cores=1, memory="100 MiB", disk="1 MiB")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@job(cores=1, memory="100 MiB", disk="1 MiB")
def fan(n: int) -> int:
    return total([noop(i) for i in range(n)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=3000)
    options = parser.parse_args()
    os.chdir(tempfile.mkdtemp(prefix="moil-profile-"))
    for isolation in ("worker", "job"):
        _show(f"leader, isolation {isolation}: µs a job by part", _leader(isolation, options.jobs))
    for isolation in ("worker", "job"):
        _show(f"slot, isolation {isolation}: a job", _slot(isolation, options.jobs))


def _show(title: str, found: dict[str, float]) -> None:
    print(f"\n**{title}**\n\n| | |\n|---|--:|")
    for name, value in found.items():
        print(f"| {name} | {value:,.1f} |")


def _leader(isolation: str, jobs: int) -> dict[str, float]:
    profiler = cProfile.Profile()
    profiler.enable()
    program.run(fan, jobs, batch_system="local", isolation=isolation, job_store=isolation, progress=False)
    profiler.disable()
    found = dict.fromkeys([*PARTS, "the rest"], 0.0)
    for (file, _, name), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        found[_part(f"{file} {name}")] += own / jobs * 1e6
    return found


def _part(what: str) -> str:
    return next((part for part, marks in PARTS.items() if any(mark in what for mark in marks)), "the rest")


def _slot(isolation: str, jobs: int) -> dict[str, float]:
    work = Path(tempfile.mkdtemp(dir="."))
    house = House(
        store=DirectoryStore(work / "store", create=True),
        work=work.absolute(),
        cache=work / "cache",
        load=lambda: None,
        log_limit=1 << 20,
        isolation=isolation,
        host="here",
    )
    kind = socket.AF_UNIX, socket.SOCK_SEQPACKET
    (channel, far_channel), (queue, far_queue) = socket.socketpair(*kind), socket.socketpair(*kind)
    reading, writing = os.pipe()
    if os.fork() == 0:
        channel.close()
        queue.close()
        _supervise(Sockets(far_channel, far_queue), house, writing)
    far_channel.close()
    far_queue.close()
    started = time.perf_counter()
    _feed(channel, queue, jobs)
    wall = time.perf_counter() - started
    channel.close()
    queue.close()
    own, faults, below, faults_below = map(float, os.read(reading, 1000).split())
    os.wait()
    return {
        "µs on the clock": wall / jobs * 1e6,
        "µs of the supervisor's CPU": own / jobs * 1e6,
        "page faults of the supervisor": faults / jobs,
        "µs of CPU of what runs the jobs": below / jobs * 1e6,
        "page faults there": faults_below / jobs,
    }


def _supervise(sockets: Sockets, house: House, told: int) -> None:
    practise()
    job_process.freeze()
    Supervisor(sockets, house, house.work / "1.slot").serve()
    own, below = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    numbers = (own.ru_utime + own.ru_stime, own.ru_minflt, below.ru_utime + below.ru_stime, below.ru_minflt)
    os.write(told, " ".join(map(str, numbers)).encode())
    os._exit(0)


def _feed(channel: socket.socket, queue: socket.socket, jobs: int, ahead: int = 16) -> None:
    data, _ = codec.Encoder(None, lambda file: file).dumps((noop, (5,), {}))
    sent = done = 0
    while done < jobs:
        while sent < jobs and sent - done < ahead:
            sent += 1
            task = encode_task(Task(job=sent, attempt=1, name="noop", call=data, base=1))
            queue.send(messages.Message(messages.TASK, f"{sent}.1", task).packet())
        done += messages.read(channel.recv(messages.PACKET)).kind in (messages.DONE, messages.ENDED)


if __name__ == "__main__":
    sys.exit(main())
