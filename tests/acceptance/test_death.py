"""Runs that are interrupted, killed, or that meet a full or read-only disk; and go on."""

import os
import random
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from moil.runtime import processes
from tests.acceptance.conftest import eventually

pytestmark = pytest.mark.slow


def wait_for_lines(trace: Path, count: int) -> None:
    eventually(lambda: trace.exists() and len(trace.read_text().splitlines()) >= count)


def resumed(runner, stderr: str) -> str:
    """Type the command that the message says resumes the run."""
    command = next(line for line in stderr.splitlines() if "--restart" in line).partition("with: ")[2]
    words = shlex.split(command)
    at = words.index(str(Path(__file__).with_name("programs.py")))
    return runner.run(*words[at + 1 :]).stdout


def test_ctrl_c_stops_cleanly_and_says_how_to_resume(runner, tmp_path):
    process = runner.start("slow_fan", tmp_path / "trace")
    wait_for_lines(tmp_path / "trace", 4)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    eventually(lambda: not runner.mine())
    assert resumed(runner, stderr) == "190\n"


def test_ctrl_c_twice_stops_now(runner, tmp_path):
    process = runner.start("slow_fan", tmp_path / "trace", "--seconds", 30)
    wait_for_lines(tmp_path / "trace", 1)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    eventually(lambda: not runner.mine())


def test_nothing_outlives_a_leader_that_is_killed(runner, tmp_path):
    process = runner.start("slow_fan", tmp_path / "trace", "--seconds", 60, "--job-store", tmp_path / "store")
    wait_for_lines(tmp_path / "trace", 1)
    process.kill()
    process.communicate(timeout=15)
    eventually(lambda: not runner.mine())


@pytest.mark.parametrize("victim", ["supervisor", "zygote"])
def test_a_worker_that_is_killed_costs_nothing(runner, tmp_path, victim):
    process = runner.start("slow_fan", tmp_path / "trace", "--seconds", 0.3, "--width", 8)
    wait_for_lines(tmp_path / "trace", 2)
    zygote = processes.children(process.pid)[0]
    os.kill(zygote if victim == "zygote" else processes.children(zygote)[0], signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (0, "28\n"), stderr


@pytest.mark.parametrize(("isolation", "width"), [("job", 800), ("worker", 6000)])
def test_what_has_ended_when_the_leader_is_killed_does_not_run_again(runner, tmp_path, isolation, width):
    trace, slots = tmp_path / "trace", 2
    words = ("quick_fan", trace, width, "--job-store", tmp_path / "store", "--isolation", isolation, "--max-cores", slots)
    process = runner.start(*words)
    wait_for_lines(trace, width // 4)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was quicker than this test: make it wider"
    eventually(lambda: not runner.mine())
    assert runner.run(*words, "--restart").stdout == f"{sum(range(width))}\n"
    again = [number for number, times in Counter(trace.read_text().split()).items() if times > 1]
    assert not again, "what was running had time to end"


@pytest.mark.exhaustive
def test_a_leader_that_is_killed_thirty_times(runner, tmp_path):
    kill_again_and_again(runner, tmp_path, jobs=1000, times=30)


def test_a_leader_that_is_killed_a_few_times(runner, tmp_path):
    kill_again_and_again(runner, tmp_path, jobs=150, times=4)


def kill_again_and_again(runner, tmp_path, *, jobs, times):
    """A tree of 2 * jobs jobs; what was committed never runs again, and the answer is right."""
    trace, store = tmp_path / "trace", tmp_path / "store"
    words = ("big_tree", trace, "--jobs", jobs, "--job-store", store, "--no-progress")
    chance = random.Random(1)
    done_before: set[int] = set()
    ran_before: list[str] = []
    for number in range(times):
        process = runner.start(*words, *(["--restart"] if number else []))
        seen = len(trace.read_text().splitlines()) if trace.exists() else 0
        patience = seen + chance.randrange(1, max(2, jobs // times))
        eventually(lambda: process.poll() is not None or trace.exists() and len(trace.read_text().split()) >= patience)
        process.kill()
        _, stderr = process.communicate()
        assert "Traceback" not in stderr
        again = set(map(int, trace.read_text().split()[len(ran_before) :])) & done_before
        assert not again, f"ran again after it was committed: {again}"
        ran_before = trace.read_text().split()
        eventually(lambda: not runner.mine())
        done_before = committed_leaves(store)
    done = runner.run(*words, "--restart")
    assert done.stdout == f"{sum(range(jobs))}\n"
    again = set(map(int, trace.read_text().split()[len(ran_before) :])) & done_before
    assert not again


def committed_leaves(store: Path) -> set[int]:
    """The numbers that `traced` jobs have returned, as the journal has it."""
    import pickle

    from moil.adapters.directory import DirectoryStore
    from moil.core.records import JobState
    from moil.runtime import journal

    jobs = journal.replay(DirectoryStore(store).read_journal()).workflow.graph.jobs.values()
    return {pickle.loads(one.value) for one in jobs if one.call.name == "traced" and one.state is JobState.done}


@pytest.fixture
def small_disk(tmp_path):
    where = tmp_path / "small"
    where.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", where]).returncode:
        assert not os.environ.get("CI"), "CI must be able to mount a tmpfs"
        pytest.skip("needs to be root, to mount a small tmpfs")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(runner, tmp_path, small_disk):
    store = small_disk / "store"
    words = ("big_tree", tmp_path / "trace", "--jobs", 300, "--job-store", store, "--no-progress")
    done = runner.run(*words, status=2)
    assert "no space left" in done.stderr.lower()
    assert str(store) in done.stderr
    assert "--restart" in done.stderr
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert runner.run(*words, "--restart").stdout == f"{sum(range(300))}\n"


def test_a_read_only_job_store_is_told(runner, tmp_path, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = runner.run("fan", "--job-store", small_disk / "store", status=2)
    assert "read-only" in done.stderr.lower()


def test_deferred_calls_run_at_the_restart_when_everything_was_killed(runner, tmp_path):
    words = ("patient", tmp_path / "begun", tmp_path / "note", tmp_path / "go", "--job-store", tmp_path / "store")
    process = runner.start(*words)
    eventually((tmp_path / "begun").exists)
    for pid in sorted(processes.tree(process.pid)):
        os.kill(pid, signal.SIGSTOP)
    for pid in sorted(processes.tree(process.pid)):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    eventually(lambda: not runner.mine())
    assert not (tmp_path / "note").exists()
    (tmp_path / "go").touch()
    assert runner.run(*words, "--restart").stdout == "3\n"
    assert (tmp_path / "note").read_text() == "deferred"


def test_a_second_leader_is_refused(runner, tmp_path):
    words = ("slow_fan", tmp_path / "trace", "--job-store", tmp_path / "store", "--seconds", 1)
    runner.start(*words)
    wait_for_lines(tmp_path / "trace", 1)
    assert "leader" in runner.run(*words, "--restart", status=2).stderr


CRIPPLED = """
import os
import resource
import moil

@moil.job(memory="10 MiB", disk="1 MiB")
def cripple():
    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))
    return 1

@moil.job(memory="10 MiB", disk="1 MiB")
def one():
    return 1

@moil.job(memory="10 MiB", disk="1 MiB")
def total(numbers):
    return sum(numbers)

@moil.job(memory="10 MiB", disk="1 MiB")
def main():
    return total([cripple(), one(), one(), one()])

if __name__ == "__main__":
    moil.main(main)
"""


def test_a_supervisor_that_cannot_go_on_costs_nothing(tmp_path):
    (tmp_path / "crippled.py").write_text(CRIPPLED)
    done = subprocess.run(
        [sys.executable, "crippled.py", "--max-cores", "1", "--no-progress"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
