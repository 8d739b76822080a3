"""The engine's own code, as one archive: what a launcher needs to go on by itself.

It holds the modules a worker uses, and cloudpickle; some hundred kilobytes. The archive is deterministic, so that its
SHA-256 names it on every machine: fixed times, fixed modes, sorted names.

Where it can be remembered on the leader's machine the modules are in it compiled, too, so that no worker has to do that
before its first job. What Python makes of a module may differ from one time to the next, so it is made once for each
state of the engine's files.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import cloudpickle

from moil.deployment import bytecode
from moil.deployment.manifest import Unit
from moil.ports.job_store import JobStore
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
    files = [(name, path.read_bytes()) for name, path in sorted(_files())]
    if memory is None:
        return _zipped(files)
    place = memory / _digest(files)
    known = _recall(place)
    if known is None:
        known = _zipped([*files, *_compiled(dict(_files()), files)])
        _remember(place, known)
    return known


def put(store: JobStore, memory: Path | None = None) -> Unit:
    """Have the engine's archive in the store; the unit that names it."""
    data = build(memory)
    unit = Unit(name="moil", digest=hashlib.sha256(data).hexdigest(), version=__version__, size=len(data))
    if not any(True for _ in store.keys(engine_key(unit.digest))):
        store.put(engine_key(unit.digest), data)
    return unit


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
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
    """STORED FORMAT, in users' caches: the SHA-256 of the archive in hexadecimal, and the archive."""
    with suppress(OSError):
        note = place.read_bytes()
        os.utime(place)
        if hashlib.sha256(note[64:]).hexdigest().encode() == note[:64]:
            return note[64:]
    return None


def _remember(place: Path, data: bytes) -> None:
    """One that cannot be kept only costs time. Those that nobody has asked for in a month go."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        for other in place.parent.iterdir():
            if other.stat().st_mtime < time.time() - UNUSED:
                other.unlink()
        staged = place.with_name(f".{place.name}.{os.getpid()}")
        staged.write_bytes(hashlib.sha256(data).hexdigest().encode() + data)
        staged.replace(place)


def _files() -> Iterator[tuple[str, Path]]:
    for path in ENGINE.rglob("*.py"):
        inner = path.relative_to(ENGINE)
        if inner.parts[0] not in _NOT_FOR_WORKERS:
            yield f"moil/{inner.as_posix()}", path
    yield "moil/py.typed", ENGINE / "py.typed"
    home = Path(cloudpickle.__file__).parent
    for path in home.rglob("*.py"):
        yield f"cloudpickle/{path.relative_to(home).as_posix()}", path
