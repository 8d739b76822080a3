"""From a program on the leader's machine to a batch system whose machines hold none of it.

Part of the composition root: discovery, freezing, the pin, the script of a worker, the clean room and the scheduler are
put together here. What of the code is *shipped* depends on ``--deploy``: ``auto`` freezes a copy, ``live`` has workers
read it where it lies (and check that it is what the run started with), ``off`` trusts that they have it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from moil import plugins
from moil.core.records import Call
from moil.core.requirements import format_size, parse_size
from moil.deployment import boot, bundle, clean_room, discover, manifest, native, pack, pins, signing, variables
from moil.deployment.freeze import Freezer, Frozen, Place, Target
from moil.deployment.listing import Listing, decode
from moil.deployment.manifest import Deployment, Unit
from moil.deployment.plan import Plan
from moil.deployment.prepare import base_python
from moil.deployment.press import item_of
from moil.engine_settings import EngineSettings
from moil.errors import DamagedError, DeploymentError, NoSuchKey
from moil.ports.batch_system import BatchSystem
from moil.ports.clock import Clock
from moil.ports.job_store import DurableStore
from moil.ports.scheduler import Scheduler
from moil.record import record
from moil.runtime import codec, entry
from moil.runtime.clerk import Site
from moil.runtime.cluster import ClusterBatchSystem
from moil.runtime.mailbox import Mailbox
from moil.runtime.queues import Queues

WINDOW = 2000
MOST_NAMED = 5


@record
class Program:
    """What is to be brought to the workers, and how."""

    entry: entry.Entry
    modules: Sequence[str]
    flags: Sequence[str]
    run: str
    clock: Clock
    say: Callable[[str], None]
    wants: Callable[[str], bool]


@record(kw_only=False, frozen=False)
class Shipped:
    """What has been brought where workers find it."""

    pin: str
    key: bytes
    engine: Unit
    plan: Plan | None = None
    deployment: Deployment | None = None


class Shipping:
    """Brings one program to one scheduler's machines."""

    def __init__(self, site: plugins.Site, store: DurableStore, program: Program) -> None:
        self._site, self._settings = site, site.settings
        self._store, self._program = store, program
        self._shipped: Shipped | None = None

    def open(self) -> BatchSystem:
        """Ship, and have a batch system of the scheduler. Raises UsageError, DeploymentError, StoreError."""
        scheduler = plugins.open_scheduler(self._settings.batch_system, self._site)
        self._shipped = self._ship(scheduler)
        mailbox = Mailbox(self._store, self._shipped.key)
        return ClusterBatchSystem(
            Site(
                scheduler=scheduler,
                mailbox=mailbox,
                queues=Queues(self._store, self._shipped.key),
                reactor=self._site.reactor,
                clock=self._program.clock,
                run=self._program.run,
                name=_name(self._program.entry),
                script=lambda batch: self._script({"batch": batch, "member": scheduler.member}),
                logs=self._store.directory,
                poll_interval=scheduler.poll_interval,
                window=self._settings.max_jobs or WINDOW,
                pilots=_at_most(self._settings.pilots, self._settings.max_jobs),
                wants=self._program.wants,
                say=self._program.say,
            )
        )

    def rehearse(self, call: Call | None) -> None:
        """The clean room. Raises DeploymentError."""
        shipped = self._shipped
        if shipped is None or shipped.plan is None or shipped.deployment is None or not self._settings.clean_room:
            return
        plan = shipped.plan
        clean_room.rehearse(
            clean_room.Rehearsal(
                script=self._script,
                python=base_python(),
                plan=plan,
                deployment=shipped.deployment.digest,
                modules=self._program.modules,
                call=b"" if call is None else codec.fetch(call.task, self._store),
                forbidden=[*(root.origin for root in plan.roots), *_site_directories()],
                memory=_user_cache("rehearsed"),
                explain=lambda name: discover.why_missing(plan, name, self._program.entry.path),
            )
        )

    # -- shipping ------------------------------------------------------------------------------------------------

    def _ship(self, scheduler: Scheduler) -> Shipped:
        key = signing.make_key(self._store)
        engine = bundle.put(self._store, _user_cache("engines"))
        before = pins.names(self._store)
        if before and self._settings.frozen:
            return self._kept(key, engine, before[-1])
        if self._settings.deploy != "auto":
            return self._left_in_place(key, engine)
        plan = self._plan()
        self._check_platform(plan, scheduler)
        frozen = self._freeze(plan, engine)
        if before:
            self._say_what_changed(key, before[-1], frozen)
        name = pins.write(self._store, key, self._pin(frozen.deployment.digest))
        return Shipped(pin=name, key=key, engine=engine, plan=plan, deployment=frozen.deployment)

    def _plan(self) -> Plan:
        return discover.discover(request_of(self._program.entry, self._settings, self._store.locator))

    def _check_platform(self, plan: Plan, scheduler: Scheduler) -> None:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        for machine in sorted(scheduler.machines()) or [platform.machine()]:
            problems = native.problems(plan, machine=machine, python=python)
            if problems:
                raise DeploymentError("\n".join(problems))

    def _freeze(self, plan: Plan, engine: Unit) -> Frozen:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        target = Target(python=version, engine=engine, native=native.of_plan(plan))
        frozen = Freezer(
            Place(store=self._store, scratch=self._site.work, memory=_user_cache("units"))
        ).freeze(plan, target)
        for remark in (*plan.remarks, *too_large(plan)):
            self._program.say(remark)
        uploaded = len(frozen.uploaded)
        self._program.say(
            f"code and environment: {len(plan.units)} units, {format_size(plan.size)}; "
            + (f"{uploaded} uploaded, {format_size(frozen.uploaded_bytes)}" if uploaded else "nothing to upload")
        )
        return frozen

    def _pin(self, deployment: str, in_place: pins.InPlace | None = None) -> pins.Pin:
        settings = self._settings
        return pins.Pin(
            run=self._program.run,
            deployment=deployment,
            argv=tuple(self._program.entry.argv[1:]),
            flags=tuple(self._program.flags),
            variables=variables.allowed(os.environ, settings.env),
            modules=tuple(self._program.modules),
            isolation=self._settings.isolation,
            log_limit=parse_size(settings.max_log_size, "max-log-size"),
            work_dir=str(settings.work_dir or ""),
            in_place=in_place,
            at=self._program.clock.now(),
        )

    def _kept(self, key: bytes, engine: Unit, name: str) -> Shipped:
        self._program.say("the code is what the run was started with (--frozen)")
        return Shipped(pin=name, key=key, engine=engine)

    def _left_in_place(self, key: bytes, engine: Unit) -> Shipped:
        digests: dict[str, str] = {}
        if self._settings.deploy == "live":
            digests = {
                source.origin: item.content
                for unit, source in self._plan().sources()
                if unit.root >= 0 and source.origin and source.path.endswith((".py", ".so")) and (item := item_of(source))
            }
            self._program.say("code is read where it lies (--deploy live): the run is not frozen")
        program = self._program.entry
        place = pins.InPlace(
            python=str(self._settings.worker_python or sys.executable),
            path=tuple(_before_the_standard_library(program.path)),
            script=program.script,
            module=program.module,
            digests=digests,
        )
        return Shipped(pin=pins.write(self._store, key, self._pin("", place)), key=key, engine=engine)

    def _say_what_changed(self, key: bytes, name: str, frozen: Frozen) -> None:
        with suppress(DamagedError, NoSuchKey):
            before = pins.read(self._store, key, name)
            if before.deployment in ("", frozen.deployment.digest):
                return
            old = read_deployment(self._store, before.deployment)
            changed = changes(self._store, old, frozen.deployment)
            if changed:
                shown = ", ".join(changed[:MOST_NAMED])
                more = f" and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
                self._program.say(
                    f"the code has changed since the run was last started: {shown}{more}; the run goes on with the new code "
                    "(--frozen keeps the old)"
                )

    # -- the script ----------------------------------------------------------------------------------------------

    def _script(self, words: Mapping[str, Any]) -> str:
        shipped = self._shipped
        assert shipped is not None
        return boot.script(
            {
                "store": self._store.locator,
                "engine": {
                    "digest": shipped.engine.digest,
                    "path": str(plugins.object_file(self._store, bundle.engine_key(shipped.engine.digest))),
                },
                "pin": shipped.pin,
                "python": list(sys.version_info[:2]),
                "worker_python": self._settings.worker_python if self._settings.deploy == "auto" else None,
                "worker_cache": str(self._settings.worker_cache or ""),
                "force_worker_cache": self._settings.force_worker_cache,
                "way": "" if self._settings.deploy != "auto" or "rehearsal" in words else self._way(shipped),
                **words,
            }
        )

    def _way(self, shipped: Shipped) -> str:
        """The name of the note that one worker of the run leaves for the next on the same machine."""
        told = [self._store.locator, shipped.pin, shipped.engine.digest, self._settings.worker_python]
        return hashlib.sha256(json.dumps(told).encode() + shipped.key).hexdigest()


def _name(program: entry.Entry) -> str:
    """What people call it."""
    return program.module or Path(program.script).stem or "moil"


def _at_most(pilots: int | None, jobs: int | None) -> int | None:
    """No more pilots than jobs may be out at a time."""
    return pilots if pilots is None or jobs is None else min(pilots, jobs)


def too_large(plan: Plan) -> Iterator[str]:
    """What should be said about data beside the program that is not shipped because of its size."""
    large = sorted((one for one in plan.left_out if one.size), key=lambda one: (-one.size, one.path))
    if large:
        size, more = format_size(sum(one.size for one in large[1:])), len(large) - 1
        others = f" ({more} more, {size}, neither: see moil deploy plan)" if more else ""
        yield f"{large[0].path} is not shipped: {large[0].rule}{others}"


def request_of(program: entry.Entry, settings: EngineSettings, job_store: str) -> discover.Request:
    """What discovery is asked for this program."""
    return discover.Request(
        module=program.module,
        script=program.script,
        path=program.path,
        modules=discover.loaded_modules(),
        include=settings.deploy_include,
        exclude=settings.deploy_exclude,
        job_store=job_store,
        engine=bundle.ENGINE,
        on_demand=settings.deploy_on_demand,
    )


def read_deployment(store: DurableStore, digest: str) -> Deployment:
    """A deployment of this store. Raises DamagedError, NoSuchKey."""
    return manifest.decode(store.get(f"deploy/deployments/{digest}"), digest)


def read_listing(store: DurableStore, digest: str) -> Listing:
    """A listing of this store. Raises DamagedError, NoSuchKey."""
    return decode(store.get(pack.listing_key(digest)), digest)


def changes(store: DurableStore, old: Deployment, new: Deployment) -> list[str]:
    """The files and distributions that are not the same in both, in words."""
    found = []
    for number in range(max(len(old.roots), len(new.roots))):
        before, after = (_files(store, one, number) for one in (old, new))
        found += [path for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
    was, now = ({unit.name: unit for unit in one.distributions} for one in (old, new))
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name):
            found.append(f"{name} {_version(was.get(name))} → {_version(now.get(name))}")
    return found


def _files(store: DurableStore, deployment: Deployment, number: int) -> dict[str, str]:
    if number >= len(deployment.roots):
        return {}
    units = deployment.roots[number].units
    return {item.path: item.content for unit in units for item in read_listing(store, unit.digest).items}


def _version(unit: Unit | None) -> str:
    return "(none)" if unit is None else unit.version or unit.digest[:8]


def _site_directories() -> list[str]:
    return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


def _before_the_standard_library(path: Sequence[str]) -> list[str]:
    standard = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    found = []
    for one in path:
        if os.path.realpath(one) in standard or (os.path.basename(one).startswith("python3") and one.endswith(".zip")):
            break
        found.append(one)
    return found


def _user_cache(name: str) -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME") or (os.path.join(home, ".cache") if (home := os.environ.get("HOME")) else "")
    return Path(base, "moil", name) if os.path.isabs(base) else None


