"""What `moil doctor` has run on a worker's machine: looks around, and says what it sees as one line of JSON.

Like the launcher it is never imported there: its text travels, and is run by whatever Python the machine has, so it is
written for Python 3.8 and the standard library.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MARK = "moil-probe:"


def look(config: dict[str, Any]) -> dict[str, Any]:
    """Facts about this machine."""
    wanted = "python{}.{}".format(*config["python"])
    cache = config.get("worker_cache") or os.environ.get("SLURM_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp"
    return {
        "host": platform.node(),
        "machine": platform.machine(),
        "python": "{}.{}.{}".format(*sys.version_info[:3]),
        "executable": sys.executable,
        "right_python": _right_python(config, wanted),
        "store": _can_write(config["store"]),
        "token": _read(config["token_file"]),
        "cache": cache,
        "cache_error": _can_write(cache),
        "cache_kind": _file_system(cache),
        "cache_free": _free(cache),
    }


def _right_python(config: dict[str, Any], name: str) -> str:
    asked = config.get("worker_python")
    for candidate in [asked] if asked else [sys.executable, name]:
        found = shutil.which(candidate) or ""
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        try:
            told = subprocess.run(
                [found, "-I", "-S", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
            )
        except OSError:
            continue
        if told.stdout.decode(errors="replace").strip() == "{}.{}".format(*config["python"]):
            return found
    return ""


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return f"! {error.strerror}"


def _can_write(folder: str) -> str:
    """Nothing, or why not."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _free(folder: str) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _file_system(folder: str) -> str:
    best, kind, real = "", "", os.path.realpath(folder)
    try:
        with open("/proc/mounts") as mounts:
            for line in mounts:
                _, mount, found = line.split(" ")[:3]
                if (real + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
                    best, kind = mount, found
    except OSError:
        return ""
    return kind


if __name__ == "__main__":
    print(MARK + json.dumps(look(json.loads(CONFIG))))  # type: ignore[name-defined]  # noqa: F821, T201
