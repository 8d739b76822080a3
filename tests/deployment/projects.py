"""Projects on disk, and plans for them as for an interpreter that has nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from moil.deployment.discover import Request, discover
from moil.deployment.plan import Plan, UnitKind

ROOTS = ("script", "path", "environment", "site", "home", "memory")


def lay(root: Path, files: Mapping[str, str | bytes] | str) -> Path:
    """Files with contents; or only names, with blanks between."""
    for name, content in files.items() if isinstance(files, Mapping) else ((name, "") for name in files.split()):
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def request(**given) -> Request:
    script = given.pop("script", "")
    path = given.pop("path", None)
    if path is None:
        path = (os.path.dirname(os.path.realpath(script)),) if script else ()
    defaults = {"environment": False, "site": (), "home": "/nowhere", "memory": None}
    return Request(**{**defaults, "script": str(script), "path": tuple(map(str, path)), **given})


def plan_of(**given) -> Plan:
    return discover(request(**given))


def shipped(plan: Plan, root: int | None = None) -> set[str]:
    """The paths of all of the user's files."""
    units = [one for one in plan.units if one.kind is UnitKind.code and (root is None or one.root == root)]
    paths = [source.path for unit in units for source in unit.sources]
    numbered = [(unit.root, source.path) for unit in units for source in unit.sources]
    assert len(set(numbered)) == len(paths), "a path is there twice"
    return set(paths)


def reasons(plan: Plan) -> dict[str, str]:
    return {source.path: source.reason for _, source in plan.sources()}


def rules(plan: Plan, below: Path) -> dict[str, str]:
    """What was left out, relative to a directory."""
    return {one.path.removeprefix(f"{below}/"): one.rule for one in plan.left_out}


def names(plan: Plan) -> list[str]:
    return [one.name for one in plan.units if one.kind is UnitKind.code]


def python(cwd: Path, *words: str, **env: str) -> str:
    """What a real interpreter prints."""
    done = subprocess.run(
        [sys.executable, *words], cwd=cwd, env={**os.environ, **env}, check=True, capture_output=True, text=True
    )
    return done.stdout


def git(cwd: Path, *words: str) -> None:
    setting = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *setting, *words], cwd=cwd, check=True, capture_output=True)
