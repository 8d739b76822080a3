"""The first code of ours on a machine that has nothing: finds the right Python, fetches the engine, and hands over.

This file is never imported there. Its text travels in what a scheduler is given (`moil.deployment.boot` puts that
together), and is run by whatever ``python3`` the machine has, so it is written for Python 3.8 and the standard library.
It does as little as it can: everything that can be done by the engine is done by the engine. And it imports as little as
it can, and late, because every job waits for it: where a worker of the same run has been on this machine before, it has
left a note of the way it went, and the user's Python is reached without the engine being asked.

Its exit statuses are its last words where nobody can read anything else.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NO_PYTHON, WRONG_PYTHON, NO_STORE, NO_CACHE, DAMAGED = 90, 91, 92, 93, 94
"""Exit statuses: no Python at all (said by the script around this), not the right one, the job store is not to be seen,
the cache cannot be used, the engine's archive is not what it should be."""

HANDED_OVER = "MOIL_HANDED_OVER"
ATTEND = "import sys; from moil.remote import attend; attend(sys.argv.pop())"


class Trouble(Exception):
    """The worker cannot start here; the message is for the user."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def launch(config: dict[str, Any], script: str) -> None:
    """Become the engine's worker; `script` is the file that this runs from. Ends the process if that is not possible."""
    try:
        take_known_way(config)
        find_python(config, script)
        engine = fetch_engine(config)
    except Trouble as trouble:
        sys.stderr.write(f"moil: on {os.uname().nodename}: {trouble}\n")
        sys.stderr.flush()
        os._exit(trouble.status)
    sys.path.insert(0, engine)
    import importlib

    importlib.import_module("moil.arrival").main(config)


def take_known_way(config: dict[str, Any]) -> None:
    """Become the user's Python at once, if the machine's cache has a note of how; else return."""
    if not config.get("way"):
        return
    home = cache_home(config)
    note = os.path.join(home, "ways", config["way"])
    try:
        with open(note) as file:
            way = json.load(file)
        if way["boot"] != boot_id():
            return
        lock = os.open(os.path.join(home, "locks", way["lock"]), os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.stat(way["python"])
        for one in (note, way["note"]):
            if one:
                os.utime(one)
    except (OSError, ValueError, KeyError):
        return
    os.set_inheritable(lock, True)
    become(way, config)


def become(way: dict[str, Any], config: dict[str, Any]) -> None:
    """Be the user's Python from now on. `way` says which, with what variables, for which main module."""
    variable, first = config.get("member") or ("", 0)
    number = int(os.environ[variable]) - int(first) if variable else None
    words = json.dumps({**config, **way["words"], "number": number})
    environ = variables(way, dict(os.environ))
    os.execve(way["python"], [way["python"], "-P", *way["flags"], "-c", ATTEND, words], environ)


def variables(way: dict[str, Any], environ: dict[str, str]) -> dict[str, str]:
    """The machine's own variables, those of the run, and those by which the program's code is found."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("PYTHON", "MOIL_"))}
    found = {**kept, **way["variables"], "PYTHONPATH": os.pathsep.join(way["path"])}
    if way["programs"]:
        found["PATH"] = os.pathsep.join([way["programs"], found.get("PATH") or os.defpath])
    if way["prefix"]:
        found["VIRTUAL_ENV"] = way["prefix"]
    return found


def boot_id() -> str:
    """Changes when the machine is started anew; as `moil.deployment.cache.boot_id`."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def find_python(config: dict[str, Any], script: str) -> None:
    """Go on in a Python of the wanted minor version: this one, or another that this machine has."""
    wanted = tuple(config["python"])
    here = "{}.{}".format(*sys.version_info[:2])
    if tuple(sys.version_info[:2]) == wanted and not _asked_for_another(config):
        return
    name = "python{}.{}".format(*wanted)
    if not os.environ.get(HANDED_OVER):
        for candidate in _candidates(config, name):
            if _is_right(candidate, wanted):
                os.environ[HANDED_OVER] = "1"
                os.execv(candidate, [candidate, "-I", "-S", script])
    if tuple(sys.version_info[:2]) == wanted:
        return
    raise Trouble(
        WRONG_PYTHON,
        f"there is Python {here} ({sys.executable}) and no {name}, which this run needs because the leader runs it; install "
        f"it on the workers, name one with --worker-python, or run the leader under Python {here}",
    )


def _is_right(candidate: str, wanted: tuple[int, ...]) -> bool:
    """Whether it is a Python of that version, and not a shim that only says there is none."""
    import subprocess

    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        told = subprocess.run(
            [candidate, "-I", "-S", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
    except OSError:
        return False
    return told.stdout.decode(errors="replace").strip() == "{}.{}".format(*wanted)


def _asked_for_another(config: dict[str, Any]) -> bool:
    asked = config.get("worker_python") or ""
    return bool(asked) and not os.environ.get(HANDED_OVER) and os.path.realpath(asked) != os.path.realpath(sys.executable)


def _candidates(config: dict[str, Any], name: str) -> list[str]:
    import shutil

    asked = config.get("worker_python") or ""
    if asked:
        return [one for one in (shutil.which(asked),) if one]
    places = [*os.environ.get("PATH", os.defpath).split(os.pathsep), "/usr/local/bin", "/usr/bin", "/opt/python/bin"]
    found = [os.path.join(place, name) for place in places if place]
    return [one for one in dict.fromkeys(found) if os.access(one, os.X_OK)]


def fetch_engine(config: dict[str, Any]) -> str:
    """The directory of the engine in this machine's cache; fetched unless it is there."""
    import hashlib

    digest = config["engine"]["digest"]
    home = cache_home(config)
    place = os.path.join(home, "engine", digest)
    if not os.path.isdir(place):
        data = _read(config)
        if hashlib.sha256(data).hexdigest() != digest:
            raise Trouble(DAMAGED, "the engine in the job store is damaged: its content does not match its name")
        try:
            _unpack(data, home, place)
        except OSError as error:
            raise Trouble(
                NO_CACHE,
                f"the worker's cache {home} cannot be written: {error.strerror}; free some space there, or choose another "
                "with --worker-cache",
            ) from error
    return place


def cache_home(config: dict[str, Any]) -> str:
    """The worker's cache, which must be the user's own."""
    asked = config.get("worker_cache") or ""
    base = asked or os.environ.get("SLURM_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp"
    home = os.path.join(base, f"moil-{os.getuid()}")
    try:
        os.makedirs(os.path.dirname(home), exist_ok=True)
        try:
            os.mkdir(home, 0o700)
        except FileExistsError:
            pass
        found = os.lstat(home)
        if found.st_mode & 0o170000 != 0o040000 or found.st_uid != os.getuid():
            raise Trouble(
                NO_CACHE, f"the worker's cache {home} belongs to somebody else; choose another with --worker-cache"
            )
        if found.st_mode & 0o077:
            os.chmod(home, 0o700)
        for part in ("engine", "tmp"):
            os.makedirs(os.path.join(home, part), exist_ok=True)
    except OSError as error:
        raise Trouble(
            NO_CACHE,
            f"the worker's cache {home} cannot be used: {error.strerror}; choose another with --worker-cache",
        )
    return home


def _read(config: dict[str, Any]) -> bytes:
    where = config["engine"]["path"]
    try:
        with open(where, "rb") as file:
            return file.read()
    except OSError as error:
        raise Trouble(
            NO_STORE,
            "the job store {} cannot be read: {}; put it on a file system that all machines share, at the same "
            "path".format(config["store"], error.strerror),
        )


def _unpack(data: bytes, home: str, place: str) -> None:
    import io
    import shutil
    import tempfile
    import zipfile

    staged = tempfile.mkdtemp(prefix="engine-", dir=os.path.join(home, "tmp"))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(staged)
        os.rename(staged, place)
    except OSError:
        shutil.rmtree(staged, ignore_errors=True)
        if not os.path.isdir(place):  # somebody else's rename may have come first
            raise


if __name__ == "__main__":
    launch(json.loads(CONFIG), os.path.abspath(__file__))  # type: ignore[name-defined]  # noqa: F821
