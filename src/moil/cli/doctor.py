"""Check a cluster's set-up before a run does: one line for each check, with its cure where something is wrong.

  moil doctor                                        this machine
  moil doctor --batch-system slurm --job-store /shared/runs --slurm-partition short

With a batch system of many machines, a job that takes a second is submitted: it says whether the job store is to be
seen from a worker's machine, whether the right Python is there, and whether the cache is on a disk of its own. The
options are those of a run. Exit status 1 if a check failed.

With --json: checks, a list of objects with name, ok (true, false), found and cure.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from moil import plugins, workdir
from moil.adapters.machine import count_cores
from moil.cli.parsing import add_json, print_json, verb_parser
from moil.configuration import settings_from
from moil.core.requirements import GIB, MIB, Requirements, format_size
from moil.deployment import boot, probe
from moil.deployment.file_systems import NETWORK
from moil.engine_settings import EngineSettings
from moil.errors import MoilError, UsageError
from moil.options import add_options, flags_from
from moil.ports.scheduler import Array, Scheduler, Seen, Standing
from moil.record import as_dict, record
from moil.runtime.reactor import SelectorReactor, SystemClock
from moil.settings import Resolved

PATIENCE = 120.0
"""Seconds that the probe may wait in the queue and run."""
LATE = 10.0
"""Seconds for which its answer may be late."""
LITTLE = 5 * GIB


@record
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    cure: str = ""


def main(words: Sequence[str]) -> int:
    """``moil doctor``."""
    parser = verb_parser(__name__, __doc__)
    add_json(parser)
    add_options(parser, words)
    given = parser.parse_args(words)
    settings = settings_from(flags_from(given))
    checks = []
    for check in _checks(settings):
        checks.append(check)
        if not given.json:
            print(_line(check), flush=True)
    if given.json:
        print_json({"checks": [as_dict(one) for one in checks]})
    return 0 if all(one.ok for one in checks) else 1


def _line(check: Check) -> str:
    head = f"{'ok   ' if check.ok else 'wrong'}  {check.name}: {check.found}"
    return head if check.ok or not check.cure else f"{head}\n       {check.cure}"


def _checks(settings: Resolved) -> Iterator[Check]:
    engine = settings[EngineSettings]
    yield from _at_home(engine)
    if plugins.is_scheduler(engine.batch_system):
        yield from _away(settings, engine)


def _at_home(engine: EngineSettings) -> Iterator[Check]:
    yield Check(name="Python here", ok=True, found=f"{sys.version.split()[0]} ({sys.executable})")
    yield Check(name="cores here", ok=True, found=str(count_cores()))
    base = engine.work_dir or Path(tempfile.gettempdir())
    try:
        workdir.remove(workdir.prepare(engine.work_dir, f"doctor-{os.getpid()}", force=engine.force_work_dir))
        free = shutil.disk_usage(base).free
        yield Check(
            name="work directory",
            ok=free > GIB,
            found=f"{base}, {format_size(free)} free",
            cure="free some space there, or choose another with --work-dir",
        )
    except UsageError as error:
        yield Check(name="work directory", ok=False, found=str(error))


# -- a cluster ---------------------------------------------------------------------------------------------------------


def _away(settings: Resolved, engine: EngineSettings) -> Iterator[Check]:
    name = engine.batch_system
    with tempfile.TemporaryDirectory(prefix="moil-doctor-") as work, contextlib.closing(_reactor()) as reactor:
        site = plugins.Site(
            settings=engine,
            others=settings.instances,
            reactor=reactor,
            command=(),
            env=dict(os.environ),
            header={},
            work=Path(work),
        )
        try:
            scheduler = plugins.open_scheduler(name, site)
            ceiling = scheduler.ceiling
        except MoilError as error:
            yield Check(name=f"{name} answers", ok=False, found=str(error))
            return
        cores = f"{ceiling.cores:g} cores" if ceiling.cores else ""
        memory = format_size(ceiling.memory) if ceiling.memory else ""
        most, kinds = ", ".join(filter(None, (cores, memory))), ", ".join(sorted(scheduler.machines()))
        yield Check(name=f"{name} answers", ok=True, found=f"at most {most} a job; machines: {kinds}")
        try:
            yield from _from_a_worker(scheduler, engine)
        finally:
            scheduler.close()


def _reactor() -> SelectorReactor:
    return SelectorReactor(SystemClock())


def _from_a_worker(scheduler: Scheduler, engine: EngineSettings) -> Iterator[Check]:
    if engine.job_store is None or "://" in engine.job_store.removeprefix("file://"):
        yield Check(
            name="job store",
            ok=False,
            found=f"{engine.job_store} is no directory" if engine.job_store else "none is named",
            cure="name the directory for your runs, one that all machines see: --job-store DIR",
        )
        return
    base = Path(engine.job_store.removeprefix("file://")).absolute()
    base = next(one for one in (base, *base.parents) if one.is_dir())
    try:
        folder = Path(tempfile.mkdtemp(prefix=".moil-doctor-", dir=base))
    except OSError as error:
        yield Check(
            name="job store", ok=False, found=f"{base}: {error.strerror}", cure="choose another place with --job-store"
        )
        return
    try:
        yield from _probed(scheduler, engine, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _probed(scheduler: Scheduler, engine: EngineSettings, folder: Path) -> Iterator[Check]:
    token = secrets.token_hex(8)
    (folder / "token").write_text(token)
    config = {
        "python": list(sys.version_info[:2]),
        "worker_python": engine.worker_python,
        "worker_cache": str(engine.worker_cache or ""),
        "store": str(folder),
        "token_file": str(folder / "token"),
    }
    array = Array(
        label=f"moil:doctor:{token}",
        name="moil-doctor",
        size=1,
        requirements=Requirements(cores=1, memory=64 * MIB, disk=MIB, walltime=60.0),
        script=boot.wrapped(Path(probe.__file__).read_text(), config),
        logs=str(folder),
    )
    try:
        (member,) = scheduler.submit(array)
    except MoilError as error:
        yield Check(name="a job can be submitted", ok=False, found=str(error))
        return
    yield Check(name="a job can be submitted", ok=True, found=f"job {member}")
    facts = _facts(scheduler, member, folder / f"{member}.log")
    yield from (_of_facts(facts, token, config) if isinstance(facts, dict) else [_no_answer(facts, folder)])


def _facts(scheduler: Scheduler, member: str, log: Path) -> dict[str, Any] | Seen:
    """What the probe says; how the scheduler sees it, if it says nothing."""
    seen = Seen(standing=Standing.queued)
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience:
        with contextlib.suppress(OSError):
            for line in log.read_text(errors="replace").splitlines():
                if line.startswith(probe.MARK):
                    return dict(json.loads(line.removeprefix(probe.MARK)))
        with contextlib.suppress(MoilError):
            seen = scheduler.query([member]).get(member, seen)
        if seen.standing is Standing.ended:
            patience = min(patience, time.monotonic() + LATE)
        time.sleep(0.5)
    if seen.standing is not Standing.ended:
        with contextlib.suppress(MoilError):
            scheduler.cancel([member])
    return seen


def _no_answer(seen: Seen, folder: Path) -> Check:
    if seen.standing is Standing.queued:
        return Check(
            name="a job starts",
            ok=False,
            found=f"it waited for {PATIENCE:.0f} s in the queue ({seen.reason or 'no reason given'})",
            cure="look at the queue; a busy cluster is no fault",
        )
    said = " ".join(part for one in folder.glob("*.log") for part in one.read_text(errors="replace").split())
    return Check(
        name="the job store is seen from a worker",
        ok=False,
        found=said or f"nothing came back from {seen.host or 'the machine'} ({seen.reason or 'the job ended'})",
        cure=f"put the job store on a file system that all machines share, at the same path, not in {folder.parent}",
    )


def _of_facts(facts: dict[str, Any], token: str, config: dict[str, Any]) -> Iterator[Check]:
    host, version = facts["host"], ".".join(map(str, config["python"]))
    wrong = facts["store"] or ("" if facts["token"] == token else facts["token"].removeprefix("! "))
    yield Check(
        name="the job store is seen from a worker",
        ok=not wrong,
        found=f"{host} {f'cannot use it: {wrong}' if wrong else 'reads and writes it'}",
        cure="put it on a file system that all machines share, at the same path, where you may write",
    )
    yield Check(
        name="Python on a worker",
        ok=bool(facts["right_python"]),
        found=f"{host} has {facts['right_python'] or facts['executable']} ({facts['python']})",
        cure=f"install Python {version} on the workers, or name one with --worker-python",
    )
    kind, free = facts["cache_kind"], facts["cache_free"]
    network = kind in NETWORK
    yield Check(
        name="the cache is on a disk of the worker's",
        ok=not network and not facts["cache_error"],
        found=f"{facts['cache']} ({kind or 'unknown'}){': ' + facts['cache_error'] if facts['cache_error'] else ''}",
        cure="choose a local directory with --worker-cache",
    )
    yield Check(
        name="room for code and environments",
        ok=free > LITTLE,
        found=f"{format_size(free)} free in {facts['cache']}",
        cure="free some space there, or choose another place with --worker-cache",
    )


