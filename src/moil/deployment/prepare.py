"""On a worker: from a pin to a command that starts the user's Python, and the environment to start it in.

Variables are set before that interpreter starts, since many of them (``PYTHONHASHSEED``, ``LD_LIBRARY_PATH``, thread
counts) are read at its start and never again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from moil.deployment import arrivals, manifest, view
from moil.deployment.arrivals import Source
from moil.deployment.cache import Cache, Lease
from moil.deployment.manifest import Deployment, Native
from moil.deployment.pins import InPlace, Pin
from moil.errors import DeploymentError
from moil.ports.job_store import JobStore
from moil.record import record


@record
class Prepared:
    """The way to the user's Python on this machine; `moil.deployment.launcher.become` goes it."""

    python: str
    flags: tuple[str, ...]
    variables: dict[str, str]
    #: Entries for PYTHONPATH.
    path: tuple[str, ...]
    #: A directory to be put first on PATH.
    programs: str = ""
    #: That of the virtual environment.
    prefix: str = ""
    #: The main module, as `moil.runtime.entry.Entry` knows it.
    script: str = ""
    module: str = ""
    #: The name of the lock that keeps what is in use from being evicted, and the lock.
    lock: str = ""
    lease: Lease | None = None
    #: The file that says where the rest of the environment is to be had; "" if nothing is missing.
    note: str = ""


def prepare(pin: Pin, store: JobStore, cache: Cache, source: Source) -> Prepared:
    """Have everything here. Raises DeploymentError, DamagedError, StoreError."""
    engine = source.engine
    if pin.in_place is not None:
        return _in_place(pin, pin.in_place, engine)
    with cache.remembering(f"{pin.deployment}"):
        deployment = manifest.decode(store.get(f"deploy/deployments/{pin.deployment}"), pin.deployment)
        check_platform(deployment.native)
        found, lease = _view(deployment, store, cache, engine)
        note = str(arrivals.note(found.directory, source)) if deployment.on_demand else ""
    return Prepared(
        python=found.python,
        flags=pin.flags,
        variables=pin.variables,
        path=found.path,
        programs=found.bin,
        prefix=str(found.directory),
        script=view.script(deployment, found),
        module=deployment.entry.module,
        lock=found.directory.name,
        lease=lease,
        note=note,
    )


def _view(deployment: Deployment, store: JobStore, cache: Cache, engine: str) -> tuple[view.View, Lease]:
    python = base_python()
    name = view.name(deployment, python=python)
    lease = cache.keep(name)
    try:
        found = view.existing(deployment, cache.views, python=python, engine=engine)
        if found is None:
            with cache.making(name):
                found = _made(deployment, store, cache, engine)
    except BaseException:
        lease.close()
        raise
    return found, lease


def _made(deployment: Deployment, store: JobStore, cache: Cache, engine: str) -> view.View:
    python = base_python()
    found = view.existing(deployment, cache.views, python=python, engine=engine)
    if found is not None:
        return found
    units = _fetched(deployment, store, cache)
    try:
        return view.build(deployment, cache.directory, cache.views, python=python, engine=engine)
    finally:
        for one in units:
            one.close()


def _fetched(deployment: Deployment, store: JobStore, cache: Cache) -> list[Lease]:
    return cache.ensure_all(deployment.units(), store)


def base_python() -> str:
    """The interpreter that runs this, as it is outside any virtual environment."""
    found: str = getattr(sys, "_base_executable", "") or sys.executable
    return os.path.realpath(found)


def check_platform(native: Native, machine: str = "", libc: str = "") -> None:
    """Raise DeploymentError unless this machine can load the native code that is shipped."""
    machine = machine or platform.machine()
    if not native.machine:
        return
    where = platform.node()
    built = f"{native.package} is native code for {native.system} {native.machine}"
    if machine != native.machine:
        raise DeploymentError(
            f"{built}, and {where} is a {machine}: use workers of that kind, or run the leader on a {machine} machine"
        )
    libc = libc or (os.confstr("CS_GNU_LIBC_VERSION") or "" if hasattr(os, "confstr") else "")
    if native.libc and not _is_enough(libc, native.libc):
        raise DeploymentError(
            f"{built} and needs glibc {native.libc}, and {where} has {libc or 'another libc'}: use workers with a newer "
            f"system, or install an older build of {native.package} for the leader"
        )


def _is_enough(has: str, needs: str) -> bool:
    """Whether ``glibc 2.36`` will do for ``2.17``."""
    kind, _, version = has.partition(" ")
    if needs == "musl":
        return kind != "glibc"
    return kind == "glibc" and _numbers(version) >= _numbers(needs)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _in_place(pin: Pin, place: InPlace, engine: str) -> Prepared:
    if not os.access(place.python, os.X_OK):
        raise DeploymentError(
            f"{place.python} is not to be seen on {platform.node()}, and the run reads its code where it lies: put the "
            "environment on a file system that all machines share, or leave out --deploy live"
        )
    check_unchanged(place.digests)
    return Prepared(
        python=place.python,
        flags=pin.flags,
        variables=pin.variables,
        path=(*place.path, engine),
        programs=os.path.dirname(place.python),
        script=place.script,
        module=place.module,
    )


def check_unchanged(digests: Mapping[str, str]) -> None:
    """Raise DeploymentError if code that is read in place is not what the run started with."""
    for path, digest in digests.items():
        try:
            with Path(path).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DeploymentError(
                f"{path} cannot be read on {platform.node()}: {error.strerror}; put the code on a file system that all "
                "machines share, or leave out --deploy live"
            ) from error
        if found != digest:
            raise DeploymentError(
                f"{path} has changed since the run started, and --deploy live reads it where it lies; put it back, or "
                "resume with --restart to take the new code"
            )
