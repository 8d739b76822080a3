"""The engine's own code, as one archive: what a launcher needs to go on by itself.

It holds the modules a worker uses, and cloudpickle; some megabytes, which are not compressed: that would take twenty times
as long, and a machine fetches them once. The archive is deterministic, so that its SHA-256 names it on every machine:
fixed times, fixed modes, sorted names.

Where it can be remembered on the leader's machine the modules are in it compiled, too, so that no worker has to do that
before its first job. What Python makes of a module may differ from one time to the next, so it is made once for each
state of the engine's files.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from moil.deployment import bytecode, notes
from moil.deployment.manifest import Unit
from moil.ports.job_store import DurableStore
from moil.version import __version__

ENGINE = Path(__file__).parent.parent
_NOT_FOR_WORKERS = ("cli", "testing")
UNUSED = 30 * 86400.0
_TIME = (2000, 1, 1, 0, 0, 0)


def engine_key(digest: str) -> str:
    """Where the engine's archive is in a job store."""
    return f"deploy/engine/{digest}"


def build(memory: Path | None) -> bytes:
    """The archive. `memory`: a directory where it is remembered; None: nowhere, and nothing in it is compiled."""
    files = _read()
    if memory is None:
        return _zipped(files)
    place = memory / _digest(files)
    known = _recall(place)
    if known is None:
        known = _zipped([*files, *_compiled(dict(_files()), files)])
        _remember(place, known)
    return known


def put(store: DurableStore, memory: Path | None = None) -> Unit:
    """Have the engine's archive in the store, from the shelf if that has it; the unit that names it."""
    known = None if memory is None else _noted(memory / _digest(_read()))
    if known is None or not _has(store, known):
        data = build(memory)
        known = _unit(hashlib.sha256(data).hexdigest(), len(data))
        if not _has(store, known):
            store.put(engine_key(known.digest), data)
            if store.shelf is not None:
                store.shelf.keep([engine_key(known.digest)])
    return known


def _unit(digest: str, size: int) -> Unit:
    return Unit(name="moil", digest=digest, version=__version__, size=size)


def _has(store: DurableStore, unit: Unit) -> bool:
    """Whether it is there, now that the shelf has been asked."""
    key = engine_key(unit.digest)
    return any(True for _ in store.keys(key)) or (store.shelf is not None and store.shelf.lend([key]))


def _read() -> list[tuple[str, bytes]]:
    return [(name, path.read_bytes()) for name, path in sorted(_files())]


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    zipfile = importlib.import_module("zipfile")  # seldom asked for: mostly the archive is known
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def _compiled(paths: Mapping[str, Path], files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    for name, content in files:
        if name.endswith(".py"):
            installed = None
            with suppress(OSError):
                installed = bytecode.of_file(bytecode.compiled_of(str(paths[name])))
            yield bytecode.compiled_of(name), installed or bytecode.compiled(name, content)


def _digest(files: Iterable[tuple[str, bytes]]) -> str:
    told = hashlib.sha256(bytecode.MAGIC)
    for name, content in files:
        told.update(f"{name}\0{len(content)}\0".encode() + content)
    return told.hexdigest()


def _recall(place: Path) -> bytes | None:
    """STORED FORMAT, in users' caches: a note of the archive."""
    with suppress(OSError):
        os.utime(place)
    return notes.read(place)


def _noted(place: Path) -> Unit | None:
    """The archive's unit, by what is written before it; whether it is whole is for its readers to see."""
    with suppress(OSError, ValueError), place.open("rb") as note:
        os.utime(place)
        digest = note.read(notes.CHECK).decode()
        if len(bytes.fromhex(digest)) == hashlib.sha256().digest_size:
            return _unit(digest, os.fstat(note.fileno()).st_size - notes.CHECK)
    return None


def _remember(place: Path, data: bytes) -> None:
    """Those that nobody has asked for in a month go."""
    with suppress(OSError):
        for other in place.parent.iterdir():
            if other.stat().st_mtime < time.time() - UNUSED:
                other.unlink()
    notes.write(place, data)


def _files() -> Iterator[tuple[str, Path]]:
    yield from _modules(ENGINE, "moil", _NOT_FOR_WORKERS)
    yield "moil/py.typed", ENGINE / "py.typed"
    spec = importlib.util.find_spec("cloudpickle")
    assert spec is not None, "Moil requires cloudpickle"
    assert spec.origin is not None, "it is a package like any other"
    yield from _modules(Path(spec.origin).parent, "cloudpickle")


def _modules(package: Path, name: str, without: Collection[str] = ()) -> Iterator[tuple[str, Path]]:
    for folder, inner, files in os.walk(package):
        if folder == str(package):
            inner[:] = [one for one in inner if one not in without]
        within = Path(name, Path(folder).relative_to(package)).as_posix()
        yield from ((f"{within}/{file}", Path(folder, file)) for file in files if file.endswith(".py"))
