import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).with_name("programs.py")
BOUND = 60


class Runner:
    """Runs programs as a user does, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[subprocess.Popen] = []

    def command(self, *words: object) -> list[str]:
        return [sys.executable, str(PROGRAMS), *map(str, words)]

    def run(self, *words: object, status: int | None = 0, **how: object) -> subprocess.CompletedProcess:
        """To its end; the exit status is checked."""
        env = {**os.environ, "TMPDIR": str(self.directory / "tmp"), "MOIL_RETRIES": "0", **how.pop("env", {})}
        done = subprocess.run(
            self.command(*words), cwd=self.directory, env=env, capture_output=True, text=True, timeout=BOUND, **how
        )
        assert status is None or done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr.replace("| Traceback", ""), done.stderr
        return done

    def start(self, *words: object, **how: object) -> subprocess.Popen:
        """In the background."""
        env = {**os.environ, "TMPDIR": str(self.directory / "tmp"), "MOIL_RETRIES": "0", **how.pop("env", {})}
        process = subprocess.Popen(
            self.command(*words),
            cwd=self.directory,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **how,
        )
        self.started.append(process)
        return process

    def mine(self) -> list[int]:
        """Processes that live from this directory's runs: they hold its temporary directory in their environment."""
        mark = f"TMPDIR={self.directory / 'tmp'}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes()
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if mark in environment and state != "Z":
                    found.append(int(entry.name))
        return found

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def eventually(condition, bound: float = 20.0) -> None:
    """Wait for a condition, with a bound."""
    patience = time.monotonic() + bound
    while not condition():
        assert time.monotonic() < patience, "it did not come true in time"
        time.sleep(0.01)


@pytest.fixture
def runner(tmp_path):
    (tmp_path / "tmp").mkdir()
    found = Runner(tmp_path)
    yield found
    found.end()
