"""The entry of workers on other machines: part of the composition root, from the standard library and the engine's own.

Two interpreters run one after the other in one process. The first is the machine's bare Python, started by the launcher:
`main` has the program brought to this machine and then becomes the second, the user's Python with the user's environment
and import path, in which `attend` carries out orders. A rehearsal (`moil.deployment.rehearsal`) is the same way on the
leader's machine, with another end.
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
from typing import Any, NoReturn

from moil.deployment import launcher, pins, prepare, rehearsal, signing
from moil.deployment.cache import Cache
from moil.errors import MoilError, StoreError
from moil.plugins import open_store
from moil.ports.job_store import JobStore
from moil.runtime import entry
from moil.runtime.mailbox import Letter, Mailbox, Order
from moil.runtime.remote_worker import RemoteWorker
from moil.runtime.slot import House

_BOOT = "import sys; from moil.remote import attend; attend(sys.argv.pop())"
_ENGINE = str(Path(__file__).parent.parent)


def main(config: dict[str, Any]) -> NoReturn:
    """From the launcher's words to the user's Python. Never returns."""
    try:
        store, key = _open(config)
    except MoilError as error:
        _end(launcher.NO_STORE, str(error))
    try:
        pin = pins.read(store, key, config["pin"])
        cache = Cache(Path(launcher.cache_home(config)))
        prepared = prepare.prepare(pin, store, cache, _ENGINE, os.environ)
    except (MoilError, OSError, launcher.Trouble) as error:
        _tell_undeployed(config, store, key, str(error))
    if prepared.lease is not None:
        os.set_inheritable(prepared.lease.descriptor, True)
    number = None if config.get("rehearsal") else _member(config)
    place = {"script": prepared.script, "module": prepared.module, "cache": str(cache.home), "number": number}
    words = json.dumps({**config, **place})
    os.execve(prepared.python, [prepared.python, "-P", *prepared.flags, "-c", _BOOT, words], prepared.environ)


def _open(config: dict[str, Any]) -> tuple[JobStore, bytes]:
    try:
        store = open_store(config["store"])
    except StoreError as error:
        raise StoreError(f"{error}; it must lie where all machines see it, at the same path") from error
    return store, signing.read_key(store)


def _tell_undeployed(config: dict[str, Any], store: JobStore, key: bytes, error: str) -> NoReturn:
    """The program cannot be brought here: the leader reads why."""
    if config.get("rehearsal"):
        rehearsal.tell(rehearsal.Finding(error=error))
        sys.stdout.flush()
        os._exit(0)
    mailbox = Mailbox(store, key)
    order = mailbox.order(config["batch"], _member(config))
    if order is not None:
        mailbox.post_outcome(Letter(token=order.token, host=socket.gethostname(), error=error, undeployed=True))
    _end(launcher.NO_CACHE, error)


def _end(status: int, error: str) -> NoReturn:
    sys.stderr.write(f"moil: on {socket.gethostname()}: {error}\n")
    sys.stderr.flush()
    os._exit(status)


def _member(config: dict[str, Any]) -> int:
    variable, first = config["member"]
    return int(os.environ[variable]) - int(first)


def attend(words: str) -> None:
    """In the user's Python: carry out the order, or rehearse."""
    config: dict[str, Any] = json.loads(words)
    store, key = _open(config)
    pin = pins.read(store, key, config["pin"])
    program = entry.Entry(script=config["script"], module=config["module"], path=tuple(sys.path))
    sys.argv[:] = [program.script or "-c", *pin.argv]
    if config.get("rehearsal"):
        rehearsal.rehearse(program_loader(program, pin), config["rehearsal"])
        return
    with _settled(config, store, pin, program) as house:
        mailbox = Mailbox(store, key)
        worker = RemoteWorker(house, mailbox)
        worker.begin()
        order = mailbox.order(config["batch"], config["number"])
        if order is not None:
            _carry_out(worker, order)


def _carry_out(worker: RemoteWorker, order: Order) -> None:
    try:
        worker.carry_out(order)
    except MoilError as error:
        _end(launcher.NO_STORE, str(error))


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
