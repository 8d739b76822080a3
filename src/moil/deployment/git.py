"""What git ignores, as git itself says it.

git is asked about the very paths that may be shipped, all at once, so nothing else of a work tree is looked at, and what
is tracked is not ignored whatever the patterns say. Without git, outside a work tree, or if the answer takes too long,
nothing is ignored.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence

from moil.deployment.tree import inside, is_below

PATIENCE = 20.0
"""Seconds that git may take for one answer."""
_NOT_A_WORK_TREE = 128


class Git:
    """Answers, and what went wrong: in `remarks`."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._silent: set[str] = set()

    def ignored(self, directory: str, paths: Sequence[str]) -> dict[str, str]:
        """Those of the paths in a directory that are ignored, each with the rule. A directory's path may end in a slash."""
        if not paths or directory in self._silent:
            return {}
        relative = {inside(directory, one) if is_below(one, directory) else one: one for one in paths}
        answer = self._ask(directory, relative)
        found = {}
        for source, line, pattern, path in _fours(answer):
            if not pattern.startswith("!"):
                found[relative.get(path, path)] = f"git ignores it ({os.path.basename(source)}:{line} says {pattern!r})"
        return found

    def _ask(self, directory: str, paths: Iterable[str]) -> str:
        command = ["git", "-c", "core.fsmonitor=false", "check-ignore", "--stdin", "-z", "--verbose"]
        question = "".join(f"{one}\0" for one in paths).encode(errors="surrogateescape")
        try:
            done = subprocess.run(
                command,
                cwd=directory,
                env=_environment(),
                input=question,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._silent.add(directory)
            self.remarks.append(f"git took more than {PATIENCE:g} s for {directory}, so nothing in it counts as ignored")
            return ""
        except OSError:
            self._silent.add(directory)
            return ""
        if done.returncode == _NOT_A_WORK_TREE:
            self._silent.add(directory)
            said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
            if "not a git repository" not in said:
                self.remarks.append(f"git does not say what it ignores in {directory} ({said}); nothing counts as ignored")
        return done.stdout.decode(errors="surrogateescape")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or "CONFIG" in name}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _fours(answer: str) -> Iterator[tuple[str, str, str, str]]:
    fields = answer.split("\0")[:-1]
    return zip(fields[::4], fields[1::4], fields[2::4], fields[3::4], strict=False)
