"""How much of a directory may be swept in because a script lies there.

A script in a directory of its own brings the files beside it. One in ``/tmp`` or in somebody's home brings nothing that
it does not import, and one in ``/opt`` or in ``~/Downloads`` brings no data.
"""

from __future__ import annotations

import os
import tempfile
from enum import StrEnum

_NOBODYS = ("/", "/home", "/usr", "/usr/local", "/opt", "/srv", "/mnt", "/media", "/var", "/etc", "/data", "/scratch")
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/root")  # noqa: S108 - they are told apart, not written to
_COLLECTIONS = ("Desktop", "Documents", "Downloads")


class Sweep(StrEnum):
    """What lies beside a script, and is shipped."""

    #: Its .py files, and small data.
    all = "all"
    #: Its .py files.
    sources = "sources"
    #: Only what is imported.
    imported = "imported"


def sweep_of(directory: str, home: str) -> Sweep:
    """How much of this directory may be swept in."""
    real, home = os.path.realpath(directory), os.path.realpath(home)
    if real in {home, os.path.realpath(tempfile.gettempdir()), *_TEMPORARY} or os.path.dirname(real) == "/home":
        return Sweep.imported
    if real in _NOBODYS or home.startswith(real.rstrip("/") + "/"):
        return Sweep.sources
    return Sweep.sources if real in {os.path.join(home, name) for name in _COLLECTIONS} else Sweep.all
