"""A virtual environment for each system, and what is the same for all their runs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from systems import SYSTEMS, System

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(__file__).resolve().parent / "programs"


class Environments:
    """A virtual environment a group, made once and kept under `cache`."""

    def __init__(self, cache: Path) -> None:
        self._home = cache / "environments"

    def python(self, group: str) -> Path:
        """Its interpreter."""
        return self._home / group / "bin" / "python"

    def prepare(self, group: str) -> None:
        """Make it, or bring it up to date. Raises CalledProcessError."""
        wanted = self._wanted(group)
        mark = self._home / group / "installed.json"
        if mark.exists() and json.loads(mark.read_text()) == wanted:
            return
        if not self.python(group).exists():
            call(sys.executable, "-m", "venv", self._home / group)
        if wanted["packages"]:
            pip = (self.python(group), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            call(*pip, *wanted["packages"])
            if group == "moil":
                # Same version, other code: pip would leave the old one where it is.
                call(*pip, "--force-reinstall", "--no-deps", *wanted["packages"])
        mark.write_text(json.dumps(wanted))

    def versions(self, group: str) -> dict[str, str]:
        """Of the packages that were asked for."""
        names = ["moil"] if group == "moil" else [one.partition("==")[0] for one in self._wanted(group)["packages"]]
        code = "import sys, importlib.metadata as m, json; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
        found: dict[str, str] = json.loads(subprocess.check_output([self.python(group), "-c", code, *names], text=True))
        return found

    def _wanted(self, group: str) -> dict[str, object]:
        packages = next(one.packages for one in SYSTEMS if one.group == group)
        wanted: dict[str, object] = {"python": sys.version, "packages": list(packages)}
        if group == "moil":
            wanted |= {"packages": [str(ROOT)], "source": _digest_of_source()}
        return wanted


def _digest_of_source() -> str:
    digest = hashlib.sha256()
    for path in sorted([ROOT / "pyproject.toml", *(ROOT / "src").rglob("*.py")]):
        digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def call(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr, timeout=1800)


def variables(system: System, python: Path, work: Path, workers: int) -> dict[str, str]:
    """The environment of a run: its own home and temporary directory, and no settings of whoever measures."""
    dropped = ("MOIL_", "TOIL_", "DASK_", "PARSL_", "RAY_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    for name in ("home", "tmp"):
        (work / name).mkdir()
    return {
        **kept,
        "PATH": f"{python.parent}:{os.defpath}",
        "VIRTUAL_ENV": str(python.parent.parent),
        "HOME": str(work / "home"),
        "TMPDIR": str(work / "tmp"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "BENCH_VARIANT": system.variant,
        "BENCH_WORKERS": str(workers),
    }


def program(system: System) -> Path:
    """What the system runs."""
    return PROGRAMS / f"on_{system.group}.py"
