"""Scripts that say what they need, in a comment (PEP 723): an environment is made for them, and kept.

    # /// script
    # requires-python = ">=3.11"
    # dependencies = ["numpy>=2"]
    # ///

``uv`` makes it, on the leader's machine. It holds what the script asks for, what the engine itself needs, and by a
``.pth`` line the engine as it runs here. It lies in the user's cache under a digest of all that it is made from, so the
second start costs nothing; and it is shipped like any other environment. Nothing of the script is run to find this out.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from moil.deployment.prepare import base_python
from moil.deployment.request import ENGINE, memory_directory
from moil.errors import UsageError
from moil.record import record
from moil.version import __version__

_BLOCK = re.compile(r"^# /// (?P<kind>[a-zA-Z0-9-]+)$\s(?P<content>(?:^#(?:| .*)$\s)+)^# ///$", re.MULTILINE)
_READY = "ready"


@record
class Needs:
    """What a script says of itself."""

    script: str
    dependencies: tuple[str, ...] = ()
    requires_python: str = ""


def needs(script: str) -> Needs:
    """What the block in this file asks for; nothing if there is no block. Raises UsageError."""
    blocks = [one["content"] for one in _BLOCK.finditer(_text(script)) if one["kind"] == "script"]
    if not blocks:
        return Needs(script=script)
    if len(blocks) > 1:
        raise UsageError(f"{script} has {len(blocks)} blocks '# /// script'; leave one")
    lines = (line[2:] if line.startswith("# ") else line[1:] for line in blocks[0].splitlines(keepends=True))
    try:
        table = importlib.import_module("tomllib").loads("".join(lines))
    except ValueError as error:
        raise UsageError(f"the block '# /// script' of {script} is not valid TOML: {error}") from None
    return _checked(script, table)


def _text(script: str) -> str:
    try:
        return Path(script).read_text(encoding="utf-8", errors="replace") if script.endswith(".py") else ""
    except OSError as error:
        raise UsageError(f"{script}: {error.strerror}") from error


def _checked(script: str, table: dict[str, Any]) -> Needs:
    dependencies, python = table.get("dependencies", []), table.get("requires-python", "")
    if not isinstance(dependencies, list) or not all(isinstance(one, str) for one in dependencies):
        raise UsageError(f"the block of {script}: dependencies is no list of texts, such as dependencies = ['numpy>=2']")
    try:
        found = [Requirement(one) for one in dependencies]
        SpecifierSet(python)
    except (InvalidRequirement, InvalidSpecifier, TypeError, AttributeError) as error:
        raise UsageError(f"the block of {script} cannot be understood: {' '.join(str(error).split())}; correct it") from None
    others = tuple(str(one) for one in found if not _is_engine(one, script))
    return Needs(script=script, dependencies=others, requires_python=python)


def _is_engine(requirement: Requirement, script: str) -> bool:
    """Whether it is the engine, which is there already. Raises UsageError if it is not the one that is asked for."""
    if canonicalize_name(requirement.name) != ENGINE.name:
        return False
    if not requirement.specifier.contains(__version__, prereleases=True):
        raise UsageError(f"{script} needs {requirement}, and this is Moil {__version__}: install the one that it needs")
    return True


def python_for(wanted: Needs, say: Callable[[str], None]) -> str:
    """The Python of the environment that the script needs, made if it is not there; "" if this process has one.

    Raises UsageError: this Python is not the right one, there is no uv, or uv cannot make it.
    """
    _check_python(wanted)
    if not wanted.dependencies:
        return ""
    engine = _needs_of_engine()
    place = _cache() / _digest(wanted, engine)
    if os.path.realpath(sys.prefix) == os.path.realpath(place):
        return ""
    uv = _uv()
    missing = [] if uv else [one for one in wanted.dependencies if not _is_met(Requirement(one))]
    if missing:
        raise UsageError(
            f"{wanted.script} needs {', '.join(missing)}, and there is no uv to make an environment with: install uv, or "
            "install the dependencies yourself"
        )
    if not uv:
        return ""
    with _alone(place):
        if not (place / _READY).exists():
            say(f"making an environment with {', '.join(wanted.dependencies)}, in {place}")
            _make(place, wanted, uv, engine)
    return str(place / "bin" / "python")


def _check_python(wanted: Needs) -> None:
    here = platform.python_version()
    if not SpecifierSet(wanted.requires_python).contains(here, prereleases=True):
        raise UsageError(
            f"{wanted.script} needs Python {wanted.requires_python}, and this is Python {here} ({sys.executable}): start it "
            "with another, as in python3.X -m moil run"
        )


def _is_met(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


def _uv() -> list[str]:
    """How uv is started; nothing if it is not here."""
    found = shutil.which("uv")
    if found:
        return [found]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else []


def _needs_of_engine() -> list[str]:
    every = (Requirement(one) for one in importlib.metadata.requires("moil") or ())
    return sorted(str(one) for one in every if one.marker is None or one.marker.evaluate({"extra": ""}))


def _cache() -> Path:
    found = memory_directory(os.environ)
    if found is None:
        raise UsageError("there is no directory to keep environments in: set XDG_CACHE_HOME, or HOME")
    return found / "environments"


def _digest(wanted: Needs, engine: Iterable[str]) -> str:
    told = [
        sorted(wanted.dependencies),
        wanted.requires_python,
        sys.version,
        base_python(),
        *engine,
        str(ENGINE.resolve()),
        __version__,
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One process at a time makes an environment; the others wait."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(place: Path, wanted: Needs, uv: Sequence[str], engine: Sequence[str]) -> None:
    """In its place, since what is installed knows where it lies; it counts when the mark is there."""
    shutil.rmtree(place, ignore_errors=True)
    _run(wanted, [*uv, "venv", "--quiet", "--no-project", "--python", base_python(), str(place)])
    python = str(place / "bin" / "python")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("".join(f"{one}\n" for one in (*wanted.dependencies, *engine)))
        listed.flush()
        _run(wanted, [*uv, "pip", "install", "--quiet", "--python", python, "--requirement", listed.name])
    _add_engine(place)
    (place / _READY).touch()


def _run(wanted: Needs, command: list[str]) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"
        raise UsageError(f"the environment of {wanted.script} cannot be made: uv says: {said}")


def _add_engine(place: Path) -> None:
    """The engine as it runs here, by itself: what lies beside it must not be found."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site, beside = place / "lib" / version / "site-packages", place / "engine"
    beside.mkdir()
    (beside / ENGINE.name).symlink_to(ENGINE.resolve(), target_is_directory=True)
    (site / "moil-engine.pth").write_text(f"{beside}\n")
    metadata = site / f"moil-{__version__}.dist-info"
    metadata.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        text = importlib.metadata.distribution("moil").read_text(name)
        (metadata / name).write_text(text or "", encoding="utf-8")
