"""The engine's own code, as one archive: what a launcher needs to go on by itself.

It holds the modules a worker uses, and cloudpickle; a few hundred kilobytes. The archive is deterministic, so that its
SHA-256 names it on every machine: fixed times, fixed modes, sorted names.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cloudpickle

from moil.deployment.manifest import Unit
from moil.ports.job_store import JobStore
from moil.version import __version__

ENGINE = Path(__file__).parent.parent
_NOT_FOR_WORKERS = ("cli", "testing")
_TIME = (2000, 1, 1, 0, 0, 0)


def engine_key(digest: str) -> str:
    """Where the engine's archive is in a job store."""
    return f"deploy/engine/{digest}"


def build() -> bytes:
    """The archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in sorted(_files()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def put(store: JobStore) -> Unit:
    """Have the engine's archive in the store; the unit that names it."""
    data = build()
    unit = Unit(name="moil", digest=hashlib.sha256(data).hexdigest(), version=__version__, size=len(data))
    if not any(True for _ in store.keys(engine_key(unit.digest))):
        store.put(engine_key(unit.digest), data)
    return unit


def _files() -> Iterator[tuple[str, Path]]:
    for path in ENGINE.rglob("*.py"):
        inner = path.relative_to(ENGINE)
        if inner.parts[0] not in _NOT_FOR_WORKERS:
            yield f"moil/{inner.as_posix()}", path
    yield "moil/py.typed", ENGINE / "py.typed"
    home = Path(cloudpickle.__file__).parent
    for path in home.rglob("*.py"):
        yield f"cloudpickle/{path.relative_to(home).as_posix()}", path
