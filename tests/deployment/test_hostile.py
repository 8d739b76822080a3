"""What a machine may do to a worker: it is killed while it installs, its disk is full, its home cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moil.adapters.directory import DirectoryStore
from moil.deployment.cache import Cache
from tests.deployment.test_units import freeze, home, tree, unit_of  # noqa: F401 - `home` is a fixture

SCRIPT = """
import moil

@moil.job(memory="64 MiB")
def main() -> int:
    return 42

if __name__ == "__main__":
    moil.main(main)
"""

DYING = """
import os, sys
from pathlib import Path
from moil.adapters.directory import DirectoryStore
from moil.deployment import cache, extract, pack
from moil.deployment.manifest import Unit

copy = pack.Reader.copy

def slow(self, item, write_to):
    copy(self, item, write_to)
    print("begun", flush=True)
    sys.stdin.read()

pack.Reader.copy = slow
cache.Cache(Path(sys.argv[1])).ensure(Unit(name="pkg", digest=sys.argv[2]), DirectoryStore(sys.argv[3]))
"""


def run(folder: Path, *more: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "main.py").write_text(SCRIPT)
    words = [sys.executable, "main.py", "--batch-system", "processes", "--no-progress", *more]
    return subprocess.run(words, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_an_install_that_was_killed_is_begun_again(home, tmp_path):  # noqa: F811
    store = DirectoryStore(tmp_path / "store", create=True)
    unit = unit_of(freeze(home, store, tmp_path))
    words = [sys.executable, "-c", DYING, tmp_path / "cache", unit.digest, store.path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout.readline() == "begun\n"
        dying.send_signal(signal.SIGKILL)
        dying.wait()
    cache = Cache(tmp_path / "cache")
    assert not cache.directory(unit).exists(), "nothing half-made is to be seen"
    cache.ensure(unit, store)
    assert tree(cache.directory(unit)) == tree(home)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("a small disk needs root: mount -t tmpfs")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.slow
def test_a_full_disk_of_a_worker_is_told_once_with_its_cure(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "large.bin").write_bytes(os.urandom(5 << 20))
    done = run(tmp_path, "--worker-cache", str(small_disk), "--deploy-include", "large.bin")
    assert done.returncode == 2
    assert done.stderr.count("No space left on device") == 1
    assert "--worker-cache" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.write_text("a file, not a directory")
    done = run(tmp_path, "--worker-cache", str(tmp_path / "cache"), HOME=str(closed))
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr


@pytest.mark.slow
def test_a_python_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    options = ("--worker-cache", str(tmp_path / "cache"), "--no-clean-room", "--worker-python", "/no/such/python")
    done = run(tmp_path, *options)
    assert done.returncode == 2
    assert done.stderr.count("there is no Python (/no/such/python)") == 1
    assert "--worker-python" in done.stderr
    assert "Traceback" not in done.stderr
