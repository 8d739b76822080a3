"""Run other people's programs: no shell, and an error that says what the program said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TAIL = 20


class ToolError(Exception):
    """A program is not there, or it failed."""


def run(program: str, *arguments: str | Path) -> None:
    """Run a program and wait for it; what it says on standard error goes to this job's log."""
    command = [program, *map(str, arguments)]
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    except FileNotFoundError:
        raise ToolError(f"{program} is not installed, or not on the PATH of this machine") from None
    said = result.stderr.decode(errors="replace")
    sys.stderr.write(said)
    if result.returncode != 0:
        raise ToolError(f"{' '.join(command)}\nended with {ending(result.returncode)}; its last words:\n{tail(said)}")


def ending(status: int) -> str:
    """An exit status in words."""
    return f"exit status {status}" if status > 0 else f"signal {-status}"


def tail(text: str) -> str:
    """The last lines of a text."""
    return "\n".join(text.splitlines()[-TAIL:]) or "(nothing)"
