"""Slurm's commands without Slurm: see the program beside this."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sacct")


@dataclass
class FakeSlurm:
    """The commands in a directory, and their state in another."""

    home: Path
    _said: int = field(default=0)

    def __post_init__(self) -> None:
        for part in ("bin", "say", "show"):
            (self.home / part).mkdir(parents=True)
        for command in COMMANDS:
            program = self.home / "bin" / command
            program.write_text(f"#!{sys.executable} -IS\n{(HERE / 'slurm').read_text()}")
            program.chmod(0o755)
        for what in ("node", "partition", "config"):
            shutil.copy(HERE / f"show_{what}", self.home / "show" / what)

    @property
    def environ(self) -> dict[str, str]:
        """For the adapter."""
        path = f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "FAKE_SLURM": str(self.home)}

    def say(self, command: str, **what: object) -> None:
        """The next answer of a command that was not told otherwise before: `out`, `err`, `status`, `do`, `hang`."""
        self._said += 1
        (self.home / "say" / f"{command}.{self._said:03}").write_text(json.dumps(what))

    def show(self, what: str, text: str) -> None:
        """What ``scontrol show`` shows."""
        (self.home / "show" / what).write_text(text)

    def accounts(self, text: str) -> None:
        """What sacct prints from now on."""
        (self.home / "accounts").write_text(text)

    def calls(self, command: str) -> list[list[str]]:
        """The arguments of all calls of a command so far."""
        lines = (self.home / "calls").read_text().splitlines() if (self.home / "calls").exists() else []
        return [words[1:] for words in map(json.loads, lines) if words[0] == command]
