"""A worker's first half, in the machine's bare Python: part of the composition root.

The launcher has fetched the engine and calls `main`, which has the program brought to this machine, leaves a note of the
way for those who come after, and becomes the user's Python, in which `moil.remote` carries out orders. A rehearsal
(`moil.deployment.rehearsal`) goes the same way on the leader's machine, to another end.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from moil.deployment import launcher, pins, prepare, rehearsal, signing
from moil.deployment.arrivals import Source
from moil.deployment.cache import Cache, boot_id
from moil.deployment.prepare import Prepared
from moil.errors import MoilError, StoreError
from moil.plugins import open_store
from moil.ports.job_store import JobStore
from moil.runtime.mailbox import Letter, Mailbox
from moil.runtime.queues import PILOTS

_ENGINE = str(Path(__file__).parent.parent)


def main(config: dict[str, Any]) -> NoReturn:
    """From the launcher's words to the user's Python."""
    try:
        store, key = _open(config)
    except MoilError as error:
        _end(launcher.NO_STORE, str(error))
    try:
        pin = pins.read(store, key, config["pin"])
        cache = Cache(Path(launcher.cache_home(config)), force=bool(config.get("force_worker_cache")))
        prepared = prepare.prepare(pin, store, cache, Source(store=config["store"], engine=_ENGINE))
    except (MoilError, OSError, launcher.Trouble) as error:
        _tell_undeployed(config, store, key, str(error))
    way = _way(prepared, cache)
    if prepared.lease is not None:
        os.set_inheritable(prepared.lease.descriptor, True)
        if config.get("way"):
            _leave_note(way, cache, config["way"])
    launcher.become(way, config)
    raise AssertionError("this process is another program now")


def _open(config: dict[str, Any]) -> tuple[JobStore, bytes]:
    try:
        store = open_store(config["store"])
    except StoreError as error:
        raise StoreError(f"{error}; it must lie where all machines see it, at the same path") from error
    return store, signing.read_key(store)


def _way(prepared: Prepared, cache: Cache) -> dict[str, Any]:
    """What `launcher.become` is told. STORED FORMAT: notes of it lie in caches, for launchers of the same engine."""
    return {
        "boot": boot_id(),
        "lock": prepared.lock,
        "note": prepared.note,
        "python": prepared.python,
        "flags": list(prepared.flags),
        "variables": prepared.variables,
        "path": list(prepared.path),
        "programs": prepared.programs,
        "prefix": prepared.prefix,
        "words": {"script": prepared.script, "module": prepared.module, "cache": str(cache.home)},
    }


def _leave_note(way: dict[str, Any], cache: Cache, name: str) -> None:
    """The run's variables are in it, so it is for nobody else. A note that cannot be left only costs time."""
    with suppress(OSError):
        folder = cache.home / "ways"
        folder.mkdir(exist_ok=True)
        staged = cache.home / "tmp" / f"way-{os.getpid()}"
        staged.touch(0o600)
        staged.write_text(json.dumps(way))
        staged.replace(folder / name)


def _tell_undeployed(config: dict[str, Any], store: JobStore, key: bytes, error: str) -> NoReturn:
    """The program cannot be brought here: the leader reads why."""
    if config.get("rehearsal"):
        rehearsal.tell(rehearsal.Finding(error=error))
        sys.stdout.flush()
        os._exit(0)
    if config["batch"].startswith(PILOTS):
        _end(launcher.NO_CACHE, error)
    variable, first = config["member"]
    mailbox = Mailbox(store, key)
    order = mailbox.order(config["batch"], int(os.environ[variable]) - int(first))
    if order is not None:
        mailbox.post_outcome(Letter(token=order.token, host=socket.gethostname(), error=error, undeployed=True))
    _end(launcher.NO_CACHE, error)


def _end(status: int, error: str) -> NoReturn:
    sys.stderr.write(f"moil: on {socket.gethostname()}: {error}\n")
    sys.stderr.flush()
    os._exit(status)
