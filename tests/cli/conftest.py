"""Runs to look at: two real ones that all tests share, and synthetic ones that stand wherever a test wants them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from moil.adapters.directory import DirectoryStore
from moil.cli import main
from moil.core.events import AttemptEnded, AttemptsSubmitted, AttemptStarted, Event, JobCommitted, RunStarted
from moil.core.policy import Policy
from moil.core.records import Call, Failure, Outcome, Submitted, Usage
from moil.runtime import journal, status
from moil.session import RECORD, RECORD_FORMAT

BEGAN = 1_700_000_000.0

PIPELINE = """
import moil

@moil.job(memory="256 MiB", name="number")
def take(n: int, worst: int) -> int:
    print("taking", n)
    if n == worst:
        raise ValueError(f"{n} is too much")
    return n

@moil.job
def add(parts: list[int]) -> int:
    return sum(parts)

@moil.job
def main(count: int = 3, worst: int = -1) -> int:
    return add([take(n, worst) for n in range(count)])

if __name__ == "__main__":
    moil.main(main)
"""


@dataclass(frozen=True)
class Said:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Tell = Callable[..., Said]


@pytest.fixture
def moil(capsys: pytest.CaptureFixture[str]) -> Tell:
    """The command, in this process."""

    def tell(*words: str | Path) -> Said:
        try:
            code: Any = main([str(word) for word in words])
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return tell


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from outside."""
    for name in [one for one in os.environ if one.startswith("MOIL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def python(*words: str | Path, cwd: Path) -> Said:
    """Python in a process of its own."""
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)
    return Said(done.returncode, done.stdout, done.stderr)


class Program(subprocess.Popen[str]):
    """Waited for at the end of a block that ends well, and killed by one that does not: no test hangs for having failed."""

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, trace)


def begin(*words: str | Path, cwd: Path, code: str = "") -> Program:
    """``moil``, or other code, in a process of its own that is still running."""
    command = [sys.executable, *(["-c", code] if code else ["-m", "moil"]), *map(str, words)]
    pipe = subprocess.PIPE
    return Program(command, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it, a minute at most."""
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience, f"waited in vain for {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Runs:
    """Two runs of PIPELINE, in `folder`."""

    folder: Path
    good: Path
    bad: Path
    bad_said: str


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """One that went well, and one in which the third number and the sum failed."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "pipeline.py").write_text(PIPELINE)
    good = python("pipeline.py", "--job-store", "good", "--clean", "never", cwd=folder)
    assert good.status == 0, good.err
    words = ["--worst", "2", "--job-store", "bad", "--retry-backoff", "0"]
    bad = python("pipeline.py", *words, cwd=folder)
    assert bad.status == 1, bad.err
    return Runs(folder, folder / "good", folder / "bad", bad.err)


# -- synthetic runs ------------------------------------------------------------------------------------------------


def began(job: int, at: float = BEGAN, *, attempt: int = 1, cores: float = 1.0, memory: int = 2**30) -> list[Event]:
    """An attempt is running."""
    asked = Submitted(job=job, attempt=attempt, external_id=f"x{job}", cores=cores, memory=memory)
    return [
        AttemptsSubmitted(at=at, attempts=(asked,)),
        AttemptStarted(at=at, job=job, attempt=attempt, host="node7"),
    ]


def returned(job: int, calls: Sequence[Call] = (), at: float = BEGAN, usage: Usage = Usage()) -> list[Event]:
    """It went well."""
    return [JobCommitted(at=at, job=job, attempt=1, value=b"", calls=tuple(calls), usage=usage)]


def failed(job: int, error: str, *, attempt: int = 1) -> list[Event]:
    """It failed."""
    failure = Failure(error=error, where="main.py:3 in main", host="node7")
    return [AttemptEnded(at=BEGAN, job=job, attempt=attempt, outcome=Outcome.failed, failure=failure)]


def call(name: str, **details: Any) -> Call:
    """A call of a job."""
    return Call(name=name, task=b"", **details)


#: The main job has returned; one child is done, one runs, and the third waits for both.
HALFWAY: list[Event] = [
    RunStarted(at=BEGAN, policy=Policy(retries=0), root=call("main")),
    *began(1),
    *returned(1, [call("align"), call("align"), call("merge", needs=(0, 1))]),
    *began(2),
    *began(3, BEGAN + 10),
    *returned(2, at=BEGAN + 60),
]


@dataclass(frozen=True)
class Synthetic:
    """A store that a leader might have written."""

    store: DirectoryStore
    #: Where in the journal its first unit ends.
    middle: int

    @property
    def path(self) -> Path:
        return self.store.path

    def journal(self) -> Path:
        """The file of the journal."""
        return self.path / "journal" / "00000001.journal"

    def append(self, *events: Event) -> None:
        """More has happened."""
        log = self.store.open_journal()
        log.append([journal.encode(event) for event in events])
        log.close()

    def hide_journal(self) -> None:
        """Make it unreadable, for root too."""
        self.journal().unlink()
        self.journal().mkdir()

    def damage_journal(self) -> None:
        """Turn a byte around that is not in its last unit."""
        data = bytearray(self.journal().read_bytes())
        data[self.middle - 1] ^= 0xFF
        self.journal().write_bytes(data)

    def led_by(self, pid: int) -> None:
        """Another leader has written the status."""
        self._change(pid=pid)

    def ended(self, state: str) -> None:
        """Its leader has written its last status."""
        self._change(state=state)

    def _change(self, **fields: Any) -> None:
        found = json.loads(self.store.get("status/00000001"))
        self.store.put("status/00000001", json.dumps(found | fields).encode())

    def nothing(self) -> None:
        """Leave it as it is."""

    def forget_record(self) -> None:
        """It was never written."""
        self.store.delete([RECORD])

    def print_log(self, token: str, *pieces: bytes, begin_with: int = 0) -> None:
        """What an attempt has printed."""
        for number, piece in enumerate(pieces, begin_with):
            self.store.put(f"logs/{token}/{number:06d}", piece)


Build = Callable[..., Synthetic]


@pytest.fixture(scope="session")
def ended_pid() -> int:
    """The id of a process that is gone."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Make a synthetic run: `events` are in its journal, the first `known` of them in its status."""

    def synthetic(
        events: Sequence[Event] = HALFWAY,
        *,
        known: int | None = None,
        state: str = "running",
        pid: int | None = None,
        queue: Mapping[str, int] | None = None,
        **record: Any,
    ) -> Synthetic:
        store = DirectoryStore(tmp_path / "run", create=True)
        told = {"format": RECORD_FORMAT, "id": "r1", "name": "main", "command": ["python", "main.py"], "moil": "0"}
        store.put(RECORD, json.dumps(told | record).encode())
        leader = journal.Header(host=socket.gethostname(), pid=os.getpid() if pid is None else pid, at=BEGAN)
        log = store.open_journal([journal.encode_header(leader)])
        records = [journal.encode(event) for event in events]
        log.append(records[:1])
        middle = (store.path / "journal" / "00000001.journal").stat().st_size
        log.append(records[1:])
        log.close()
        if known != 0:
            seen = journal.replay([journal.encode(event) for event in events[:known]])
            now = seen.summary.updated_at
            found = status.describe(seen, state=state, now=now, queue=queue or {})
            found = replace(found, pid=leader.pid)
            store.put("status/00000001", json.dumps(asdict(found)).encode())
        return Synthetic(store, middle)

    return synthetic
