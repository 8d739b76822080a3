"""The projects of examples/deploy, and how each is started: by the same words here and on a cluster."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import moil
from moil import version
from tests.deployment.installs import Venv, clean, lay

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = ROOT / "examples" / "deploy"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`words` follow the interpreter; `cwd` and `path` (for PYTHONPATH) are relative to the copy of the project."""

    folder: str
    words: Sequence[str]
    cwd: str = "."
    path: Sequence[str] = ()
    #: What imports the program, for the plain call.
    plain: str = "main"

    @property
    def name(self) -> str:
        return self.folder

    def variables(self, project: Path | str) -> dict[str, str]:
        where = [os.path.normpath(os.path.join(project, one)) for one in self.path]
        return {"PYTHONPATH": os.pathsep.join(where)} if where else {}

    def placed(self, project: Path | str) -> list[str]:
        return [word.replace("@", str(project)) for word in self.words]


SCRIPTS = (
    Scenario(folder="01-siblings", words=["main.py"]),
    Scenario(folder="02-module", words=["-m", "workflow.main"], plain="workflow.main"),
    Scenario(folder="03-pythonpath", words=["-m", "analysis.main"], cwd="..", path=["."], plain="analysis.main"),
    Scenario(folder="04-several-roots", words=["main.py"], path=["first", "second"]),
    Scenario(folder="08-inside-a-package", words=["survey/main.py"], path=["survey"], plain="main"),
    Scenario(folder="09-namespace", words=["main.py"], path=["plots", "reads"]),
)
"""Those that need nothing installed, whose plain call is to be had by an import."""


def copied(folder: str, to: Path) -> Path:
    """The project, on its own."""
    return Path(shutil.copytree(PROJECTS / folder, to / folder, ignore=shutil.ignore_patterns("__pycache__")))


def plainly(scenario: Scenario, project: Path, python: str = sys.executable) -> dict:
    """What the program says without the engine."""
    code = f"import json, {scenario.plain}, sys; print(json.dumps(sys.modules['{scenario.plain}'].main()))"
    env = clean(**scenario.variables(project))
    done = subprocess.run([python, "-c", code], cwd=project / scenario.cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_place(said: dict) -> tuple[dict, list[str]]:
    """What a program says, and the files that it says it ran from."""
    return {key: value for key, value in said.items() if key != "where"}, said.get("where", {}).get("files", [])


def lean_venv(home: Path) -> Venv:
    """An environment with the engine in place and what it needs, and nothing more; made without an index."""
    made = Venv.make(home)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for name in _closure(Requirement(one).name for one in needed):
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                to = made.site / file
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(distribution.locate_file(file), to)
    (made.site / "moil-in-place.pth").write_text(f"{Path(moil.__file__).parent.parent}\n")
    _engine_metadata(made, needed)
    return made


def _engine_metadata(venv: Venv, needed: Sequence[str]) -> None:
    """As an installer would write it today, whenever this interpreter's was written."""
    lay(venv.site, "moil", version.__version__, requires=tuple(needed), record=False)


def _closure(names) -> set[str]:
    found: set[str] = set()
    waiting = [canonicalize_name(one) for one in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for one in importlib.metadata.requires(name) or ():
            requirement = Requirement(one)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return found


@dataclass
class Leader:
    """Runs programs on the batch system ``processes``, whose workers are given nothing."""

    python: str
    cache: Path
    home: Path
    options: Sequence[str] = field(default_factory=lambda: ["--default-memory", "128 MiB", "--no-progress"])

    def command(self, words: Sequence[str], store: Path) -> list[str]:
        own = ["--batch-system", "processes", "--worker-cache", str(self.cache), "--job-store", str(store)]
        return [self.python, *words, *own, *self.options]

    def environment(self, **more: str) -> dict[str, str]:
        """With a user cache of its own."""
        return clean(XDG_CACHE_HOME=str(self.home / "cache"), XDG_CONFIG_HOME=str(self.home / "config"), **more)

    def run(self, words: Sequence[str], store: Path, cwd: Path, env: Mapping[str, str] | None = None, **how) -> Done:
        command = self.command(words, store)
        return subprocess.run(command, cwd=cwd, env=self.environment(**(env or {})), capture_output=True, text=True, **how)

    def said(self, words: Sequence[str], store: Path, cwd: Path, env: Mapping[str, str] | None = None, **how) -> dict:
        """What a program that ends well prints."""
        done = self.run(words, store, cwd, env, **how)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


Done = subprocess.CompletedProcess[str]
