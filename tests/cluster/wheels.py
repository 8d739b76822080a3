"""Wheels for the containers, which have no index to ask: this machine's pip fetches and builds them, for Python 3.11.

Each set lies in a directory of its own in the cache, named after what was asked for, and is fetched once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.cluster.docker import CACHE, locked, run

ROOT = Path(__file__).parent.parent.parent
PYTHON = "3.11"
MOST_KEPT = 30
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_5_x86_64")


def of_moil() -> Path:
    """A directory with Moil's wheel, as the checkout has it now, and the wheels that it needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = of_packages(project["dependencies"])
    parts = sorted(path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    asked = [needed.name, *(f"{path}:{_digest(path)}" for path in (ROOT / "pyproject.toml", ROOT / "README.md", *parts))]
    return _made(asked, lambda to: _build_moil(to, needed))


def of_packages(packages: Sequence[str]) -> Path:
    """A directory with the wheels of these packages (names with versions, or directories) and of what they need."""
    asked = [*sorted(packages), *(f"{path}:{_digest(path)}" for path in _files_of(packages))]
    return _made(asked, lambda to: _download(to, packages))


def _made(asked: Iterable[str], make) -> Path:
    target = CACHE / "wheels" / hashlib.sha256("\n".join(asked).encode()).hexdigest()[:16]
    with locked("wheels"):
        if not target.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            building = Path(tempfile.mkdtemp(dir=target.parent, prefix="."))
            try:
                make(building)
                building.chmod(0o755)
                building.rename(target)
            finally:
                shutil.rmtree(building, ignore_errors=True)
        target.touch()
        _forget(target.parent)
    return target


def _forget(folder: Path) -> None:
    """What has not been asked for in a while."""
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-MOST_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _build_moil(to: Path, needed: Path) -> None:
    for wheel in needed.glob("*.whl"):
        shutil.copy(wheel, to)
    _pip("wheel", "--no-deps", "--wheel-dir", to, ROOT)


def _download(to: Path, packages: Sequence[str]) -> None:
    local = [one for one in packages if os.path.isdir(one)]
    if local:
        _pip("wheel", "--no-deps", "--wheel-dir", to, *local)
    names = [one for one in packages if one not in local] + list(map(str, to.glob("*.whl")))
    platforms = [word for one in PLATFORMS for word in ("--platform", one)]
    how = ("--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp", *platforms)
    if names:
        _pip("download", *how, "--dest", to, "--find-links", to, *names)


def _pip(*words: object) -> None:
    run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words], timeout=600)


def _files_of(packages: Sequence[str]) -> list[Path]:
    folders = [Path(one) for one in packages if os.path.isdir(one)]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
