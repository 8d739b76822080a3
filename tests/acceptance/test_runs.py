"""Real runs on this machine: what is printed, what is returned, what is left."""

import json

import pytest

from tests.acceptance.conftest import eventually

pytestmark = pytest.mark.slow


def left_over(runner):
    return [path for path in (runner.directory / "tmp").rglob("*")] + list(runner.directory.glob("moil-runs"))


def test_a_fan_out(runner):
    done = runner.run("fan", "--width", 30)
    assert done.stdout == "870\n"
    assert done.stderr.startswith("moil: run fan is kept in ")
    assert not left_over(runner)


@pytest.mark.parametrize("isolation", ["job", "worker"])
def test_each_isolation_gives_the_same(runner, isolation):
    assert runner.run("fan", "--isolation", isolation).stdout == "20\n"


def test_jobs_have_processes_of_their_own(runner):
    found = json.loads(runner.run("pids", 6).stdout)
    assert len(set(found)) == 6


def test_warm_workers_run_many_jobs(runner):
    found = json.loads(runner.run("pids", 30, "--isolation", "worker").stdout)
    assert len(set(found)) < 10


def test_the_scripts_own_classes_come_home(runner):
    assert json.loads(runner.run("point").stdout) == {"x": 1, "y": 2}


def test_services_are_up_for_their_clients_and_down_after(runner, tmp_path):
    note = tmp_path / "note"
    assert json.loads(runner.run("served", note).stdout) == [4, 6]
    assert note.read_text() == "down"


def test_services_do_not_starve_their_clients(runner, tmp_path):
    assert json.loads(runner.run("served", tmp_path / "note", "--max-cores", 1).stdout) == [4, 6]


def test_files_travel(runner, tmp_path):
    (tmp_path / "a file.txt").write_text("some text")
    assert runner.run("through_file", tmp_path / "a file.txt").stdout == "made.txt: some text\n"


def test_a_file_result_goes_to_output(runner, tmp_path):
    runner.run("gives_file", "--output", tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "a result"


def test_a_file_result_without_output_never_replaces_anything(runner, tmp_path):
    (tmp_path / "made.txt").write_text("precious")
    assert runner.run("gives_file").stdout == "made-1.txt\n"
    assert (tmp_path / "made.txt").read_text() == "precious"


def test_a_missing_input_is_told_before_anything_runs(runner):
    done = runner.run("through_file", "no-such.txt", status=2)
    assert "no-such.txt: no such file" in done.stderr


def test_accelerators_are_handed_out(runner):
    found = json.loads(runner.run("devices", "--max-accelerators", 2, env={"CUDA_VISIBLE_DEVICES": "4,5"}).stdout)
    assert sorted(found) == ["4", "5"]


def test_a_job_works_in_a_scratch_directory_that_goes(runner):
    cwd, scratch, variable = json.loads(runner.run("where", "--env", "FROM_HOME=yes").stdout)
    assert cwd == scratch
    assert variable == "yes"
    assert not left_over(runner)


def test_a_failure_is_told_in_one_block(runner):
    done = runner.run("failing", status=1)
    assert "Job divide #3 failed on " in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "in divide" in done.stderr
    assert "| dividing by 0" in done.stderr
    assert "moil logs " in done.stderr
    assert "--restart" in done.stderr
    assert done.stdout == ""


def test_a_failed_run_goes_on_where_it_was(runner, tmp_path):
    words = ("half_failing", tmp_path / "flag", tmp_path / "trace", "--job-store", tmp_path / "a store")
    runner.run(*words, status=1)
    (tmp_path / "flag").touch()
    assert runner.run(*words, "--restart").stdout == "8\n"
    assert (tmp_path / "trace").read_text() == "1\n"


def test_an_existing_store_is_an_error_that_names_both_ways_out(runner, tmp_path):
    words = ("failing", "--job-store", tmp_path / "store")
    runner.run(*words, status=1)
    done = runner.run(*words, status=2)
    assert "--restart" in done.stderr
    assert "moil clean" in done.stderr


def test_restart_without_a_run_is_an_error(runner, tmp_path):
    assert "holds no run" in runner.run("fan", "--job-store", tmp_path / "s", "--restart", status=2).stderr
    assert "--job-store" in runner.run("fan", "--restart", status=2).stderr


def test_files_of_failed_attempts_are_collected(runner, tmp_path):
    runner.run("fails_and_saves", "--job-store", tmp_path / "store", status=1)
    assert not [path for path in (tmp_path / "store").rglob("*") if "files" in path.parts and path.is_file()]


def test_too_much_memory_ends_the_job(runner):
    done = runner.run("hog", status=1)
    assert "of memory" in done.stderr
    assert "raise memory=" in done.stderr


def test_memory_grows_after_it_was_too_little(runner):
    attempt, memory, _ = runner.run("grows").stdout.split()
    assert (int(attempt), int(memory)) == (3, 400 << 20)


def test_too_much_time_ends_the_job(runner):
    assert "walltime of 500 ms" in runner.run("too_slow", status=1).stderr


@pytest.mark.parametrize("isolation", ["job", "worker"])
def test_a_killed_job_is_named_and_its_log_and_deferred_calls_are_kept(runner, tmp_path, isolation):
    done = runner.run("dies", tmp_path / "note", "--isolation", isolation, status=1)
    assert "killed by SIGKILL" in done.stderr
    assert "| before the end" in done.stderr
    assert (tmp_path / "note").read_text() == "deferred"


@pytest.mark.parametrize("isolation", ["job", "worker"])
def test_nothing_outlives_a_job(runner, tmp_path, isolation):
    runner.run("littering", tmp_path / "note", "--isolation", isolation)
    eventually(lambda: not runner.mine())


def test_a_requirement_that_no_machine_meets_is_an_error_at_once(runner):
    done = runner.run("hog", "--max-memory", "50 MiB", status=2)
    assert "hog" in done.stderr
    assert "50 MiB" in done.stderr


def test_fail_fast_ends_the_run_at_the_first_failure(runner, tmp_path):
    done = runner.run("one_bad_one_long", tmp_path / "begun", "--fail-fast", status=1)
    assert "ZeroDivisionError" in done.stderr
    eventually(lambda: not runner.mine())


def test_the_log_goes_to_a_file_and_says_what_was_tried_again(runner, tmp_path):
    runner.run("grows", "--log-file", tmp_path / "log", "--log-level", "debug")
    text = (tmp_path / "log").read_text()
    assert "grows #1 attempt 1 out_of_memory" in text
    assert "it is tried again" in text
    assert "grows #1 attempt 3 started" in text
