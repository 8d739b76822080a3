"""The script that a scheduler is given: a shell's program and Python's at once, for machines that have nothing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moil.deployment import boot, launcher, probe

HERE = list(sys.version_info[:2])


def run(tmp_path: Path, *, path: str | None = None, **config: object) -> subprocess.CompletedProcess[str]:
    known = {
        "python": HERE, "store": str(tmp_path / "store"), "engine": {"digest": "0" * 64, "path": str(tmp_path / "engine")},
        "worker_python": None, "worker_cache": str(tmp_path / "cache"), **config,
    }  # fmt: skip
    script = tmp_path / "it's a $(script)"
    script.write_text(boot.script(known))
    environ = {"PATH": os.environ["PATH"] if path is None else path, "HOME": str(tmp_path)}
    return subprocess.run(["/bin/sh", script], env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("module", [launcher, probe])
def test_what_travels_is_understood_by_python_3_8(module):
    ast.parse(Path(module.__file__).read_text(), feature_version=(3, 8))


def test_without_any_python_the_shell_says_so(tmp_path):
    done = run(tmp_path, worker_python="/no/such/python; echo $(id)")
    assert done.returncode == launcher.NO_PYTHON
    assert "there is no Python (/no/such/python; echo (id))" in done.stderr
    assert "--worker-python" in done.stderr
    assert "uid=" not in done.stderr + done.stdout


def test_another_version_is_named_with_the_cure(tmp_path):
    done = run(tmp_path, python=[3, 99])
    assert done.returncode == launcher.WRONG_PYTHON
    assert "no python3.99, which this run needs because the leader runs it; install it on the workers" in done.stderr


def test_a_store_that_is_not_seen_is_named(tmp_path):
    done = run(tmp_path)
    assert done.returncode == launcher.NO_STORE
    assert f"the job store {tmp_path / 'store'} cannot be read: No such file or directory; put it on a file system" in done.stderr


def test_an_engine_that_was_changed_is_refused(tmp_path):
    (tmp_path / "engine").write_bytes(b"evil")
    done = run(tmp_path)
    assert done.returncode == launcher.DAMAGED
    assert "its content does not match its name" in done.stderr
    assert not list((tmp_path / "cache").glob("*/engine/*"))


def test_a_cache_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "cache").write_text("a file")
    done = run(tmp_path)
    assert done.returncode == launcher.NO_CACHE
    assert "cannot be used" in done.stderr
    assert "--worker-cache" in done.stderr


def test_a_python_of_another_version_hands_over(tmp_path):
    """The first that is found need not be the right one, nor work at all: a shim for a version that is not there."""
    bin = tmp_path / "bin"
    bin.mkdir()
    name = f"python{HERE[0]}.{HERE[1]}"
    (bin / name).write_text("#!/bin/sh\necho shim: no such version >&2; exit 127\n")
    (bin / name).chmod(0o755)
    done = run(tmp_path, path=f"{bin}:{os.environ['PATH']}")
    assert done.returncode == launcher.NO_STORE, done.stderr


def by_way(tmp_path, **more):
    """With a note of the way in the machine's cache."""
    home = tmp_path / "cache" / f"moil-{os.getuid()}"
    for part in ("ways", "locks"):
        (home / part).mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    (home / "locks" / "lock").touch()
    tool = tmp_path / "python"
    tool.write_text('#!/bin/sh\necho "$MARK $PYTHONPATH $VIRTUAL_ENV"\n')
    tool.chmod(0o755)
    way = {
        "boot": launcher.boot_id(), "lock": "lock", "note": "", "python": str(tool), "flags": [], "variables": {"MARK": "taken"},
        "path": ["/a", "/b"], "programs": "", "prefix": "/view", "words": {},
    }  # fmt: skip
    (home / "ways" / "way").write_text(json.dumps(way | more))
    return run(tmp_path, way="way")


def test_a_way_is_taken_only_in_the_boot_in_which_it_was_noted(tmp_path):
    for boot_id, status in ((launcher.boot_id(), 0), ("another", launcher.NO_STORE)):
        done = by_way(tmp_path, boot=boot_id)
        assert done.returncode == status, done.stderr
        assert ("taken /a:/b /view" in done.stdout) is (status == 0)


@pytest.mark.parametrize("is_there", [True, False])
def test_who_goes_a_known_way_keeps_the_note_of_its_job_store(tmp_path, is_there):
    """Without it, what is fetched on demand could not be found: then all is prepared anew."""
    source = tmp_path / "source"
    if is_there:
        source.touch()
        os.utime(source, (1, 1))
    assert by_way(tmp_path, note=str(source)).returncode == (0 if is_there else launcher.NO_STORE)
    assert not is_there or source.stat().st_mtime > 1
