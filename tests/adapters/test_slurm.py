"""The adapter of Slurm, on commands that answer as Slurm's do, and as they do when something is wrong.

`tests/cluster` has the same suite on a real Slurm.
"""

import math
import os
from pathlib import Path

import pytest

from moil.adapters.slurm import SlurmScheduler
from moil.adapters.slurm_settings import SlurmSettings
from moil.core.records import Outcome
from moil.core.requirements import MIB, Accelerator, Requirements
from moil.errors import UsageError
from moil.ports.scheduler import Array, Refused, SchedulerDown, Standing
from moil.testing.scheduler import SMALL, SchedulerBench, SchedulerTests
from tests.adapters.fake_slurm import FakeSlurm

DOWN = (
    "Unable to contact slurm controller (connect failure)",
    "slurm_load_jobs error: Socket timed out on send/recv operation",
    "sbatch: error: Batch job submission failed: Unable to create job record, try again",
    "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
    "sbatch: error: Batch job submission failed: Connection refused",
    "sbatch: error: Batch job submission failed: Protocol authentication error",
    "AssocMaxSubmitJobLimit\nJob violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
    "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy",
    "sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)",
    "sbatch: error: Batch job submission failed: Slurm backup controller in standby mode",
    "sbatch: error: Munge encode failed: Failed to access \"/run/munge/munge.socket.2\": No such file or directory",
)
ONE_JOB = (
    ("Batch job submission failed: Requested node configuration is not available", "ask for less cores="),
    ("Memory specification can not be satisfied", "memory="),
    ("Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)", "walltime="),
    ("Batch job submission failed: Invalid generic resource (gres) specification", "accelerators="),
    ("QOSMaxMemoryPerJob\nBatch job submission failed: Job violates accounting/QOS policy (job submit limit, …)", "--slurm-qos"),
    ("Batch job submission failed: Unspecified error", "Unspecified error"),
)
WHOLE_RUN = (
    ("invalid partition specified: x\nBatch job submission failed: Invalid partition name specified", "--slurm-partition"),
    ("Batch job submission failed: Invalid account or account/partition combination specified", "--slurm-account"),
    ("Batch job submission failed: Invalid qos specification", "--slurm-qos"),
    ("Batch job submission failed: Requested reservation is invalid", "--slurm-reservation"),
    ("Batch job submission failed: User's group not permitted to use this partition", "--slurm-partition"),
    ("Batch job submission failed: Invalid feature specification", "--slurm-constraint"),
    ("unrecognized option '--nonsense'\nTry \"sbatch --help\" for more information", "--slurm-args"),
)


@pytest.fixture
def fake(tmp_path):
    return FakeSlurm(tmp_path / "slurm")


@pytest.fixture
def bench(fake, tmp_path):
    return bench_of(fake, tmp_path)


def bench_of(fake: FakeSlurm, tmp_path: Path, *, patience: float | None = None, **settings: object) -> SchedulerBench:
    (tmp_path / "shared").mkdir(exist_ok=True)
    scheduler = SlurmScheduler(SlurmSettings(**settings), environ=fake.environ, patience=patience)
    return SchedulerBench(scheduler, shared=tmp_path / "shared", number="$SLURM_ARRAY_TASK_ID")


def submitted(bench: SchedulerBench, fake: FakeSlurm, needs: Requirements = SMALL, **more: object) -> list[str]:
    """What sbatch is told."""
    bench.scheduler.submit(bench.array("true", needs=needs, **more))
    return fake.calls("sbatch")[-1]


@pytest.mark.slow
class TestSlurm(SchedulerTests):
    enforces_memory = False  # the stand-in does not

    @pytest.fixture
    def bench(self, fake, tmp_path):
        return bench_of(fake, tmp_path)


class TestWhatIsAskedFor:
    def test_the_shape_of_a_job(self, bench, fake):
        told = submitted(bench, fake, Requirements(cores=1.5, memory=100 * MIB + 1, walltime=61))
        assert {"--array=0-0", "--nodes=1", "--ntasks=1", "--cpus-per-task=2", "--mem=165M", "--time=7"} <= set(told)
        assert {"--parsable", "--no-requeue", "--export=NONE", "--chdir=/", "--output=/dev/null", "--error=/dev/null"} <= set(told)

    def test_without_a_walltime_the_partition_s_limit_counts(self, bench, fake):
        assert not [word for word in submitted(bench, fake) if word.startswith("--time")]

    def test_or_the_one_that_was_set(self, fake, tmp_path):
        assert "--time=2-12" in submitted(bench_of(fake, tmp_path, time="2-12"), fake)

    def test_a_walltime_that_the_partition_just_allows(self, fake, tmp_path):
        short = bench_of(fake, tmp_path, partition="short")
        assert "--time=10" in submitted(short, fake, Requirements(memory=MIB, walltime=600))
        assert "--time=6" in submitted(short, fake, Requirements(memory=MIB, walltime=60))
        assert "--time=16" in submitted(short, fake, Requirements(memory=MIB, walltime=601))

    @pytest.mark.parametrize(
        ("chosen", "needs", "seconds"),
        [
            ({}, {}, math.inf),
            ({"partition": "short"}, {}, 300.0),
            ({"partition": "main,short"}, {}, 300.0),
            ({"partition": "short", "time": "7"}, {}, 420.0),
            ({"time": "2-12"}, {}, 216_000.0),
            ({"time": "infinite"}, {}, math.inf),
            ({}, {"walltime": 61.0}, 420.0),
            ({"partition": "short"}, {"walltime": 600.0}, 600.0),
        ],
    )
    def test_what_a_member_will_have(self, fake, tmp_path, chosen, needs, seconds):
        assert bench_of(fake, tmp_path, **chosen).scheduler.time_limit(Requirements(memory=MIB, **needs)) == seconds

    def test_where_it_goes(self, fake, tmp_path):
        chosen = {"partition": "main", "account": "a c", "qos": "q", "constraint": "x&y", "reservation": "r", "exclude": "h[1-2]"}
        told = submitted(bench_of(fake, tmp_path, **chosen), fake)
        assert {f"--{name}={value}" for name, value in chosen.items()} <= set(told)

    def test_devices(self, fake, tmp_path):
        bench = bench_of(fake, tmp_path, gpu_partition="gpu", args=("--gres=lscratch:10",))
        needs = Requirements(memory=MIB, accelerators=(Accelerator(count=2), Accelerator(model="a100")))
        with pytest.raises(Refused):
            submitted(bench, fake, needs)
        told = fake.calls("sbatch")[-1]
        assert "--gres=lscratch:10,gpu:2,gpu:a100:1" in told
        assert "--partition=gpu" in told

    def test_the_user_s_own_arguments(self, fake, tmp_path):
        bench = bench_of(fake, tmp_path, args=("--nice=100 --mail-user='a b'", "--licenses=x:2"))
        assert {"--nice=100", "--mail-user=a b", "--licenses=x:2"} <= set(submitted(bench, fake))

    @pytest.mark.parametrize(
        "word", ["--mem=4G", "-c4", "-c", "--array=0-3", "--arr=1", "--export=ALL", "-o", "--output=x", "--requeue", "--wrap=ls", "-p x", "x.sh", "--nice=1 x", "'"]
    )
    def test_those_that_would_fight_with_what_is_set(self, word):
        with pytest.raises(UsageError, match="--slurm-args"):
            SlurmScheduler(SlurmSettings(args=(word,)))

    @pytest.mark.parametrize("word", ["--mem-bind=local", "--mail-type END", "-H", "--dependency=afterok:1", "-L x:1"])
    def test_those_that_would_not(self, word):
        SlurmScheduler(SlurmSettings(args=(word,)))

    def test_odd_directories_for_logs(self, bench, fake, tmp_path):
        logs = tmp_path / "100 % 'odd'"
        logs.mkdir()
        array = bench.array("echo said")
        ids = bench.scheduler.submit(Array(label="l", name="n", size=1, requirements=SMALL, script=array.script, logs=str(logs)))
        bench.wait(ids)
        assert f"--output={tmp_path}/100 %% 'odd'/%A_%a.log" in fake.calls("sbatch")[-1]
        assert (logs / f"{ids[0]}.log").read_text() == "said\n"


@pytest.mark.slow
class TestTheCommands:
    def test_variables_that_would_change_their_meaning_are_kept_from_them(self, fake, monkeypatch):
        changing = dict.fromkeys(("SBATCH_PARTITION", "SLURM_JOB_ID", "SQUEUE_FORMAT", "SLURM_CLUSTERS", "SACCT_FORMAT"), "x")
        scheduler = SlurmScheduler(SlurmSettings(), environ={**fake.environ, **changing, "SLURM_CONF": "kept", "LC_ALL": "de_DE"})
        assert not changing.keys() & scheduler._environ.keys()
        assert (scheduler._environ["SLURM_CONF"], scheduler._environ["LC_ALL"]) == ("kept", "C")

    def test_where_there_is_no_slurm(self, tmp_path):
        with pytest.raises(Refused, match="sbatch is not on PATH") as refused:
            SlurmScheduler(SlurmSettings(), environ={"PATH": str(tmp_path)}).ceiling
        assert refused.value.whole_run

    @pytest.mark.parametrize("text", DOWN)
    def test_what_passes(self, bench, fake, text):
        fake.say("sbatch", err=text, status=1)
        with pytest.raises(SchedulerDown) as down:
            bench.submit("true")
        assert text.splitlines()[-1][-20:] in str(down.value)
        assert "\n" not in str(down.value)
        assert bench.submit("true")

    @pytest.mark.parametrize(("text", "cure"), [*ONE_JOB, *WHOLE_RUN])
    def test_what_does_not(self, bench, fake, text, cure):
        fake.say("sbatch", err="\n".join(f"sbatch: error: {line}" for line in text.splitlines()), status=1)
        with pytest.raises(Refused) as refused:
            bench.submit("true")
        assert cure in str(refused.value)
        assert "\n" not in str(refused.value)
        assert refused.value.whole_run is ((text, cure) in WHOLE_RUN)

    def test_each_question_can_find_it_down(self, bench, fake):
        ids = bench.submit("true")
        asks = {"squeue": [lambda: bench.scheduler.query(ids), lambda: bench.scheduler.find("x")], "scancel": [lambda: bench.scheduler.cancel(ids)]}
        for command, questions in asks.items():
            for question in questions:
                fake.say(command, err=f"{command}: error: Unable to contact slurm controller (connect failure)", status=1)
                with pytest.raises(SchedulerDown, match="Unable to contact"):
                    question()

    def test_the_cluster_can_be_asked_again(self, bench, fake):
        fake.say("scontrol", err="Unable to contact slurm controller", status=1)
        with pytest.raises(SchedulerDown):
            bench.scheduler.ceiling
        assert bench.scheduler.ceiling.cores == 4

    def test_one_that_does_not_come_back(self, fake, tmp_path):
        bench = bench_of(fake, tmp_path, patience=0.5)
        fake.say("squeue", hang=True)
        with pytest.raises(SchedulerDown, match=r"squeue did not come back in 0.5 s"):
            bench.scheduler.query(["1_0"])


@pytest.mark.slow
class TestSubmissionsThatMayHaveHappened:
    def test_one_that_has(self, fake, tmp_path):
        bench = bench_of(fake, tmp_path, patience=2)
        fake.say("sbatch", do=True, hang=True)
        ids = bench.submit("true", 3)
        assert len(bench.wait(ids)) == 3
        assert len(fake.calls("sbatch")) == 1

    def test_one_that_has_not(self, fake, tmp_path):
        bench = bench_of(fake, tmp_path, patience=1)
        fake.say("sbatch", hang=True)
        with pytest.raises(SchedulerDown, match="sbatch did not come back"):
            bench.submit("true")

    def test_one_whose_connection_broke(self, bench, fake):
        fake.say("sbatch", do=True, out="", err="sbatch: error: Socket timed out on send/recv operation", status=1)
        assert len(bench.submit("true", 2)) == 2

    def test_one_that_was_wrapped_by_somebody(self, bench, fake):
        fake.say("sbatch", do=True, out="Welcome to the cluster!\n1;main\n")
        assert bench.submit("true") == ["1_0"]
        fake.say("sbatch", do=True, out="Have a nice day!\n")
        assert bench.submit("true") == ["2_0"]


def row(state: str, *, code: str = "0", reason: str = "None", number: int = 0, host: str = "h1") -> str:
    cells = (("7", 20), (str(number), 20), (state, 24), (code, 16), (host, 128), ("164M", 20), ("10:00", 20), (reason, 400))
    return "".join(text.ljust(width) for text, width in cells) + "\n"


def seen(bench, fake, *rows: str):
    fake.say("squeue", out="".join(rows))
    return bench.scheduler.query(["7_0", "7_1"])


class TestWhatIsSeen:
    @pytest.mark.parametrize(
        ("state", "code", "outcome", "words"),
        [
            ("COMPLETED", "0", Outcome.completed, ""),
            ("FAILED", "768", Outcome.failed, "exit status 3"),
            ("FAILED", "3:0", Outcome.failed, "exit status 3"),
            ("FAILED", "9", Outcome.failed, "signal 9"),
            ("OUT_OF_MEMORY", "125", Outcome.out_of_memory, "--mem=164M that it had: raise memory="),
            ("TIMEOUT", "0", Outcome.timed_out, "--time=10:00 that it had: raise walltime="),
            ("DEADLINE", "0", Outcome.timed_out, "raise walltime="),
            ("NODE_FAIL", "0", Outcome.node_failed, "h1"),
            ("BOOT_FAIL", "0", Outcome.node_failed, "h1"),
            ("PREEMPTED", "0", Outcome.preempted, "higher priority"),
            ("CANCELLED", "15", Outcome.cancelled, "cancelled in Slurm"),
        ],
    )
    def test_how_it_ended(self, bench, fake, state, code, outcome, words):
        found = seen(bench, fake, row(state, code=code))["7_0"]
        assert (found.standing, found.outcome, found.host) == (Standing.ended, outcome, "h1")
        assert words in found.reason

    @pytest.mark.parametrize("state", ["RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "UNHEARD_OF"])
    def test_it_runs(self, bench, fake, state):
        assert seen(bench, fake, row(state))["7_0"].standing is Standing.running

    @pytest.mark.parametrize(
        ("state", "reason", "words"),
        [
            ("PENDING", "Priority", "Priority"),
            ("PENDING", "None", ""),
            ("CONFIGURING", "None", ""),
            ("PENDING", "PartitionTimeLimit", "lower walltime="),
            ("PENDING", "BadConstraints", "--slurm-constraint"),
            ("PENDING", "ReqNodeNotAvail, UnavailableNodes:h[1-2] (Some nodes required for job are DOWN, DRAINED)", "down or reserved"),
            ("PENDING", "JobHeldUser", "scontrol release"),
            ("PENDING", "launch failed requeued held", "scontrol release"),
            ("SPECIAL_EXIT", "None", "SPECIAL_EXIT: it is held"),
            ("REQUEUE_HOLD", "None", "held"),
        ],
    )
    def test_it_waits(self, bench, fake, state, reason, words):
        found = seen(bench, fake, row(state, reason=reason, host=""))["7_0"]
        assert found.standing is Standing.queued
        assert words in found.reason
        assert found.stuck is (": " in found.reason)

    def test_others_jobs_and_odd_lines_are_passed_over(self, bench, fake):
        assert not seen(bench, fake, row("RUNNING", number=5), "slurm_load: whatever\n", row("RUNNING").replace("7", "N/A", 1))

    def test_a_few_arrays_are_asked_for_by_name_and_many_by_user(self, bench, fake):
        bench.scheduler.query([f"{array}_{number}" for array in range(3) for number in range(9)])
        bench.scheduler.query([f"{array}_0" for array in range(300)])
        few, many = fake.calls("squeue")
        assert "--jobs=0,1,2" in few
        assert f"--user={os.getuid()}" in many


class TestAccounts:
    def test_they_know_what_squeue_has_forgotten(self, bench, fake):
        fake.accounts("7_0|CANCELLED by 1000|0:15|h1|164M|00:10:00\n7_1|OUT_OF_MEMORY|0:125|h2|164M|00:10:00\n7_2|RUNNING|0:0|h1|1M|1\n")
        found = bench.scheduler.query(["7_0", "7_1", "7_2", "7_3"])
        assert set(found) == {"7_0", "7_1"}
        assert found["7_0"].reason == "cancelled in Slurm by user 1000"
        assert (found["7_1"].outcome, found["7_1"].host) == (Outcome.out_of_memory, "h2")

    @pytest.mark.parametrize("never_started", ["7_[1-3]", "7_[1-3%2]", "7_[1,3,5,7,9,11,13,15,17,..."])
    def test_members_that_never_started_have_one_line_together(self, bench, fake, never_started):
        fake.accounts(f"7_0|COMPLETED|0:0|h1|164M|00:10:00\n{never_started}|CANCELLED by 1000|0:0|None assigned|164M|00:10:00\n")
        found = bench.scheduler.query(["7_0", "7_1", "7_3", "8_1"])
        assert {one: what.outcome for one, what in found.items()} == {
            "7_0": Outcome.completed, "7_1": Outcome.cancelled, "7_3": Outcome.cancelled
        }  # fmt: skip
        assert found["7_3"].host == ""

    def test_members_that_wait_are_not_over(self, bench, fake):
        fake.accounts("7_[1-3]|PENDING|0:0|None assigned|164M|00:10:00\n")
        assert bench.scheduler.query(["7_0", "7_1"]) == {}

    def test_where_there_are_none_they_are_asked_for_once(self, bench, fake):
        assert bench.scheduler.query(["7_0"]) == {}
        assert bench.scheduler.query(["7_0"]) == {}
        assert len(fake.calls("sacct")) == 1

    def test_where_they_do_not_answer_they_are_asked_again(self, bench, fake):
        for _ in range(2):
            fake.say("sacct", err="sacct: error: Problem talking to the database: Connection refused", status=1)
            assert bench.scheduler.query(["7_0"]) == {}
        assert len(fake.calls("sacct")) == 2


class TestTheCluster:
    def test_what_the_default_partition_has(self, bench):
        most = bench.scheduler.ceiling
        assert (most.cores, most.memory, most.accelerators) == (4, (4000 - 64) * MIB, 0)
        assert bench.scheduler.machines() == {"x86_64"}
        assert bench.scheduler.largest_array == 1001

    def test_a_partition_has_limits_of_its_own(self, fake, tmp_path):
        most = bench_of(fake, tmp_path, partition="short").scheduler.ceiling
        assert (most.cores, most.memory) == (2, (1000 - 64) * MIB)

    def test_that_for_devices_counts_too(self, fake, tmp_path):
        most = bench_of(fake, tmp_path, gpu_partition="gpu").scheduler.ceiling
        assert (most.cores, most.memory, most.accelerators) == (64, (255000 - 64) * MIB, 6)

    def test_one_that_is_not_there(self, fake, tmp_path):
        with pytest.raises(Refused, match="no partition 'long'; it has gpu, main, short") as refused:
            bench_of(fake, tmp_path, partition="main,long").scheduler.ceiling
        assert refused.value.whole_run

    def test_machines_that_are_down_count_where_there_are_no_others(self, bench, fake):
        fake.show("node", (fake.home / "show" / "node").read_text().replace("State=IDLE", "State=DOWN"))
        assert bench.scheduler.ceiling.cores == 128

    def test_without_a_default_partition_nothing_is_known(self, bench, fake):
        fake.show("partition", (fake.home / "show" / "partition").read_text().replace("Default=YES", "Default=NO"))
        assert bench.scheduler.ceiling.cores is None
        assert bench.scheduler.machines() == set()

    def test_arrays(self, bench, fake):
        fake.show("config", "MaxArraySize            = 5001\nSchedulerParameters     = max_array_tasks=500,bf_interval=1\n")
        assert bench.scheduler.largest_array == 500

    def test_no_arrays(self, bench, fake):
        fake.show("config", "MaxArraySize            = 0\n")
        with pytest.raises(Refused, match="MaxArraySize=0"):
            bench.scheduler.largest_array


@pytest.mark.slow
class TestCancelling:
    def test_whole_arrays_go_by_one_word_and_parts_by_spans(self, bench, fake):
        ids = bench.submit("true", 10)
        bench.scheduler.cancel(ids)
        bench.scheduler.cancel([one for one in ids if one not in (ids[4], ids[6])])
        assert fake.calls("scancel") == [["1"], ["1_[0-3,5,7-9]"]]

    def test_many_go_by_many_calls(self, bench, fake):
        bench.scheduler.cancel([f"{array}_0" for array in range(1, 451)])
        assert [len(words) for words in fake.calls("scancel")] == [200, 200, 50]
