"""A worker on another machine, in the user's Python: part of the composition root.

`moil.arrival` has brought the program here and become this. What is imported is the standard library and the engine's own,
and what few workers need only by those: every job without a pilot waits for it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moil.deployment import launcher, pins, signing
from moil.errors import MoilError, StoreError
from moil.plugins import open_store
from moil.ports.job_store import JobStore
from moil.runtime import entry
from moil.runtime.mailbox import Mailbox
from moil.runtime.queues import PILOTS, Queues
from moil.runtime.remote_worker import RemoteWorker
from moil.runtime.slot import House


def attend(words: str) -> None:
    """In the user's Python: carry out the order, or rehearse."""
    config: dict[str, Any] = json.loads(words)
    store = open_store(config["store"])
    key = signing.read_key(store)
    pin = pins.read(store, key, config["pin"])
    program = entry.Entry(script=config["script"], module=config["module"], path=tuple(sys.path))
    sys.argv[:] = [program.script or "-c", *pin.argv]
    if config.get("rehearsal"):
        rehearsal = importlib.import_module("moil.deployment.rehearsal")
        rehearsal.rehearse(program_loader(program, pin), config["rehearsal"])
        return
    with _settled(config, store, pin, program) as house:
        mailbox = Mailbox(store, key)
        worker = RemoteWorker(house, mailbox)
        worker.begin()
        with _complaining():
            if config["batch"].startswith(PILOTS):
                _be_pilot(worker, house, Queues(store, key), config)
            elif (order := mailbox.order(config["batch"], config["number"])) is not None:
                worker.carry_out(order)


def _be_pilot(worker: RemoteWorker, house: House, queues: Queues, config: dict[str, Any]) -> None:
    """Most workers are none, and need not wait for what a pilot has to import."""
    pilot = importlib.import_module("moil.runtime.pilot")
    pilot.Pilot(house, worker.mailbox, queues, f"{config['batch']}.{config['number']}").work(worker)


@contextlib.contextmanager
def _complaining() -> Iterator[None]:
    try:
        yield
    except MoilError as error:
        sys.stderr.write(f"moil: on {socket.gethostname()}: {error}\n")
        sys.stderr.flush()
        os._exit(launcher.NO_STORE)


def program_loader(program: entry.Entry, pin: pins.Pin) -> Any:
    """What imports the user's program in this process."""

    def load() -> None:
        entry.load(program)
        for name in pin.modules:
            importlib.import_module(name)

    return load


@contextlib.contextmanager
def _settled(config: dict[str, Any], store: JobStore, pin: pins.Pin, program: entry.Entry) -> Iterator[House]:
    """The run's directory on this machine; the last worker to leave removes it."""
    own = Path(pin.work_dir or tempfile.gettempdir()) / f"moil-{os.getuid()}"
    work = own / pin.run
    presence = _present(work)
    copies = Path(config["cache"]) / "files"
    copies.mkdir(exist_ok=True)
    try:
        yield House(
            store=store,
            work=work,
            cache=copies,
            load=program_loader(program, pin),
            log_limit=pin.log_limit,
            isolation=pin.isolation,
            host=socket.gethostname(),
        )
    finally:
        if os.listdir(copies):
            importlib.import_module("moil.deployment.cache").evict_copies(copies)
        presence.unlink(missing_ok=True)
        for place in (work, own):
            with contextlib.suppress(OSError):
                place.rmdir()


def _present(work: Path) -> Path:
    """Make the directory, and a file in it that keeps others from removing it."""
    presence = work / f"{os.getpid()}.present"
    for _ in range(100):
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            presence.touch()
            return presence
    raise StoreError(f"the work directory {work} is removed again and again; choose another with --work-dir")
