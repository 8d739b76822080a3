"""Compiled modules, made independent of times, so that a unit is the same unit however often its files are touched.

A ``.pyc`` says which source it was made of by that source's time and size. Times do not travel, so what is shipped
says it by a hash and asks Python not to look (an unchecked hash-based ``.pyc``, PEP 552): the unit's digest vouches for
both files. Only what really belongs to its source is shipped; Python compiles the rest where it runs.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import os
import sys

MAGIC = importlib.util.MAGIC_NUMBER
_ENDING = f".{sys.implementation.cache_tag}.pyc"
_HEADER = 16
_HASHED, _CHECKED = 0b01, 0b10


def source_of(pyc: str) -> str:
    """The path of the source that a ``__pycache__/*.pyc`` was made of; "" if the name is another one."""
    if not pyc.endswith(_ENDING):
        return ""
    folder, _, name = pyc.rpartition("/")
    start, module = folder.removesuffix("__pycache__"), name[: -len(_ENDING)]
    if start == folder or start[-1:] not in ("", "/") or not module:
        return ""
    return f"{start}{module}.py"


def compiled_of(source: str) -> str:
    """The path of the ``__pycache__/*.pyc`` of a source."""
    folder, slash, name = source.rpartition("/")
    return f"{folder}{slash}__pycache__/{name.removesuffix('.py')}{_ENDING}"


def compiled(name: str, source: bytes) -> bytes:
    """A ``.pyc`` in the form that is shipped."""
    code = marshal.dumps(compile(source, name, "exec", dont_inherit=True, optimize=0))
    return _headed(importlib.util.source_hash(source), code)


def normalised(pyc: bytes, source: bytes, mtime: float | None = None) -> bytes | None:
    """The ``.pyc`` in the form that is shipped; None if it does not belong to this source.

    `mtime` is the source's; without it a ``.pyc`` that goes by times is believed if the size agrees.
    """
    digest = importlib.util.source_hash(source)
    if pyc[:4] != MAGIC or len(pyc) <= _HEADER or not _belongs(pyc[4:_HEADER], source, digest, mtime):
        return None
    return _headed(digest, pyc[_HEADER:])


def _headed(digest: bytes, code: bytes) -> bytes:
    return MAGIC + _HASHED.to_bytes(4, "little") + digest + code


def of_file(pyc: str) -> bytes | None:
    """What is shipped for a ``.pyc`` on the disk; None if it does not belong to the source beside it. Raises OSError."""
    source = source_of(pyc)
    if not source:
        return None
    with io.FileIO(source) as file, io.FileIO(pyc) as compiled:
        return normalised(compiled.readall(), file.readall(), os.fstat(file.fileno()).st_mtime)


def _belongs(header: bytes, source: bytes, digest: bytes, mtime: float | None) -> bool:
    flags, first, second = header[:4], header[4:8], header[8:]
    kind = int.from_bytes(flags, "little")
    if kind & ~(_HASHED | _CHECKED):
        return False
    if kind & _HASHED:
        return header[4:] == digest
    is_same_time = mtime is None or int.from_bytes(first, "little") == int(mtime) & 0xFFFFFFFF
    return is_same_time and int.from_bytes(second, "little") == len(source) & 0xFFFFFFFF
