"""What jobs have printed.

With JOB (a number such as 42 or #42, or a name that only one job has): the log of its last attempt, or of the one that
--attempt names, and nothing else; with --follow what is added to it until the job is over, its next attempts included.

Without JOB: the logs of the jobs that failed, each below a line that names the job. If none has failed, or with --all,
the logs of all attempts of all jobs. A job that printed nothing has no log.

With --json: store, and logs: a list of objects with id, name ("" where the run is too large to look it up), attempt and
text.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

from moil.cli.parsing import Parser, print_json, reading_parser
from moil.cli.reading import Run, find_job, job_number, look, opened, replay, replay_if_small, unless_gone
from moil.core.records import JobId
from moil.errors import NoSuchKey, StoreError, UsageError
from moil.ports.job_store import DurableStore, JobStore
from moil.record import changed, record
from moil.runtime.records import token

POLL = 0.5
PATIENCE = 10
"""How many times longer than a replay of the journal `--follow` waits before the next one."""
DROPPED = b"\n[... dropped: the log grew beyond --max-log-size ...]\n"


@record(kw_only=False)
class Attempt:
    """One attempt, whose log may be printed."""

    job: JobId
    number: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} #{self.job}, attempt {self.number}".lstrip()


def main(words: Sequence[str]) -> int:
    """``moil logs STORE [JOB]``."""
    parser = reading_parser(__name__, __doc__)
    parser.add_argument("job", metavar="JOB", nargs="?", help="its number, or its name if no other job has it")
    parser.add_argument("--attempt", metavar="N", type=int, help="of this attempt instead of the last one")
    parser.add_argument("--follow", "-f", action="store_true", help="print what is added, until the job is over")
    parser.add_argument("--all", action="store_true", help="of all attempts of all jobs, or of this one")
    given = parser.parse_args(words)
    _check(parser, given)
    with opened(given.store) as store:
        run = look(store)
        if given.follow:
            return _follow(run, given.job, given.attempt)
        if given.json:
            _print_json(store, _wanted(run, given))
        elif given.job and not given.all:
            _print_one(store, _wanted(run, given)[0])
        else:
            _print_all(store, _wanted(run, given))
    return 0


def _check(parser: Parser, given: argparse.Namespace) -> None:
    if (given.attempt is not None or given.follow) and not given.job:
        parser.error("--attempt and --follow are about one job: name it; moil status shows those that run")
    if given.follow and (given.json or given.all):
        parser.error("--follow prints plain text as it comes; leave out --json and --all")
    if given.attempt is not None and given.all:
        parser.error("--attempt and --all contradict each other")


# -- which ---------------------------------------------------------------------------------------------------------


def _wanted(run: Run, given: argparse.Namespace) -> list[Attempt]:
    """The attempts whose logs are asked for; of one job, at least one. Raises UsageError."""
    if given.job:
        found = _of_job(run.store, given.job, given.attempt, every=given.all)
        return _named(run.store, found) if given.json or given.all else found
    if run.status.failures and not given.all:
        return [Attempt(one["id"], one["attempt"], one["name"]) for one in run.status.failures]
    return _named(run.store, [Attempt(job, number) for job, number in _logged(run.store, "")])


def _of_job(store: DurableStore, wanted: str, attempt: int | None, *, every: bool) -> list[Attempt]:
    """Attempts of one job. The journal is read only if the logs themselves do not tell."""
    job, name = job_number(wanted), ""
    logged = [] if job is None else [number for _, number in _logged(store, f"{job}.")]
    if job is None or not logged or (attempt is not None and attempt not in logged):
        found = find_job(replay(store).workflow, wanted)
        _check_attempt(attempt, found.attempt, str(found))
        job, name = found.id, found.call.name
        logged = [number for _, number in _logged(store, f"{job}.")] or [found.attempt]
    chosen = logged if every else [attempt or logged[-1]]
    return [Attempt(job, number, name) for number in chosen]


def _named(store: DurableStore, attempts: list[Attempt]) -> list[Attempt]:
    """With the names of the jobs, unless that takes long."""
    replayed = replay_if_small(store)
    jobs = replayed.workflow.graph.jobs if replayed else {}
    return [changed(one, name=jobs[one.job].call.name) if one.job in jobs else one for one in attempts]


def _check_attempt(wanted: int | None, last: int, job: str) -> None:
    if wanted is not None and not 1 <= wanted <= last:
        raise UsageError(f"{job} has no attempt {wanted}; its last one is {last}" if last else f"{job} was not tried yet")


def _logged(store: JobStore, prefix: str) -> list[tuple[JobId, int]]:
    """The attempts that have printed something, in the order of their jobs."""
    tokens = {key.split("/")[1] for key in store.keys(f"logs/{prefix}")}
    return sorted((int(job), int(attempt)) for job, _, attempt in (one.partition(".") for one in tokens))


# -- printing ------------------------------------------------------------------------------------------------------


def pieces(store: JobStore, attempt: Attempt, after: int = -1) -> Iterator[tuple[int, bytes]]:
    """The pieces of a log behind number `after`; a note stands in for those that were dropped."""
    for key in store.keys(f"logs/{token(attempt.job, attempt.number)}/"):
        number = int(key.rpartition("/")[2])
        if number <= after:
            continue
        try:
            data = store.get(key)
        except NoSuchKey:
            continue
        yield number, DROPPED + data if number != after + 1 else data
        after = number


def _print_one(store: JobStore, attempt: Attempt) -> None:
    if not _write(store, attempt):
        _say(f"{attempt} printed nothing")
    earlier = [number for _, number in _logged(store, f"{attempt.job}.") if number < attempt.number]
    if earlier:
        _say(f"this was attempt {attempt.number}; --attempt {earlier[-1]} or --all shows what was printed before")


def _print_all(store: JobStore, attempts: Sequence[Attempt]) -> None:
    for attempt in attempts:
        print(f"==> {attempt} <==")
        last = _write(store, attempt)
        print("" if last.endswith(b"\n") else "\n" if last else "(nothing)\n")
    if not attempts:
        _say("no job has printed anything")


def _write(store: JobStore, attempt: Attempt) -> bytes:
    """Print a log; the last piece of it, or nothing."""
    data = b""
    for _, data in pieces(store, attempt):
        _put(data)
    return data


def _put(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _print_json(store: DurableStore, attempts: Sequence[Attempt]) -> None:
    logs = []
    for one in attempts:
        text = b"".join(data for _, data in pieces(store, one)).decode(errors="replace")
        logs.append({"id": one.job, "name": one.name, "attempt": one.number, "text": text})
    print_json({"store": store.locator, "logs": logs})


def _say(text: str) -> None:
    print(f"moil: {text}", file=sys.stderr)


# -- following -----------------------------------------------------------------------------------------------------


class _Watch:
    """Whether a job will print more, asked often and looked up seldom: that takes a replay of the journal."""

    def __init__(self, run: Run, wanted: str, attempt: int | None) -> None:
        self._store, self._fixed = run.store, attempt
        self._next = 0.0
        job = find_job(replay(run.store).workflow, wanted)
        self._job, self.name = job.id, job.call.name
        self.number = attempt or job.attempt
        self.over = False

    def look(self) -> None:
        """Look it up, if it is time."""
        began = time.monotonic()
        if began < self._next:
            return
        run = look(self._store)
        job = replay(self._store).workflow.graph.get(self._job)
        ended = job is None or job.terminal or not run.led
        if job is not None and self._fixed is None:
            self.number = job.attempt
        self.over = ended or (job is not None and job.attempt > self.number)
        self._next = time.monotonic() + PATIENCE * (time.monotonic() - began)

    @property
    def attempt(self) -> Attempt:
        """The one to be printed."""
        return Attempt(self._job, self.number, self.name)


def _follow(run: Run, wanted: str, attempt: int | None) -> int:
    """Print what comes, until nothing more can come. The last piece of a log may be later than the job's commit."""
    watch = _Watch(run, wanted, attempt)
    shown, last, quiet = watch.attempt, -1, 0
    try:
        while not (watch.over and quiet > 1):
            watch.look()
            if watch.attempt != shown:
                shown, last = watch.attempt, -1
                _say(str(shown))
            quiet += 1
            for number, data in pieces(run.store, shown, last):
                _put(data)
                last, quiet = number, 0
            if not watch.over or quiet < 2:
                time.sleep(POLL)
    except StoreError as error:
        unless_gone(run.store, error)
        _say("the run has ended, and its job store was removed")
    return 0
