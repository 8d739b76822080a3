"""The examples run on a cluster as they stand, and their results are what they are at home."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from tests.acceptance.test_variants import HERE, INPUTS, VARIANTS, lambda_reads, lasting_lines
from tests.cluster.slurm import LEADER, SlurmCluster

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
PYTHON = f"{LEADER}/bin/python"
BOUND = 300.0
MODULES = 40

__all__ = ["lambda_reads"]


def options(store: str) -> list[str]:
    return ["--batch-system", "slurm", "--job-store", store, "--slurm-poll-interval", "1", "--no-progress"]


def test_the_standard_library_is_indexed(slurm: SlurmCluster) -> None:
    """What the cluster's leader finds in so many modules is what it finds without a cluster."""
    name = secrets.token_hex(4)
    home = f"/home/moil/{name}"
    slurm.copy_in(ROOT / "examples" / "corpus", home)
    reports = {}
    for where, how in (("away", options(f"/shared/{name}")), ("home", ["--no-progress"])):
        words = [PYTHON, "main.py", "--limit", MODULES, "--report", f"{home}/{where}", *how]
        done = slurm.leader(words, cwd=home, timeout=BOUND)
        assert done.returncode == 0, done.stderr
        reports[where] = json.loads(slurm.read(f"{home}/{where}/report.json"))
    assert reports["away"] == reports["home"]
    assert "modules" in json.dumps(reports["away"])


def test_variants_are_called(slurm: SlurmCluster, lambda_reads: list[Path], tmp_path: Path) -> None:
    """External programs, directories and large files, against the same commands typed by hand."""
    name = secrets.token_hex(4)
    home = f"/home/moil/{name}"
    slurm.copy_in(VARIANTS, home)
    for path in (*INPUTS, HERE / "variants_by_hand.sh"):
        slurm.copy_in(path.resolve(), f"{home}/data/{path.name}")
    reads = [f"{home}/data/{path.name}" for path in INPUTS]
    words = [PYTHON, "main.py", *reads, "--sample", "lambda", "--output", f"{home}/away.vcf", "--pairs-per-chunk", "3000"]
    done = slurm.leader([*words, *options(f"/shared/{name}")], cwd=home, timeout=BOUND)
    assert done.returncode == 0, done.stderr
    slurm.leader(["mkdir", f"{home}/hand"])
    script = ["sh", f"{home}/data/variants_by_hand.sh", *reads, "lambda", f"{home}/hand.vcf"]
    assert slurm.leader(script, cwd=f"{home}/hand", timeout=BOUND).returncode == 0
    for where in ("away", "hand"):
        (tmp_path / where).write_text(slurm.read(f"{home}/{where}.vcf"))
    found = lasting_lines(tmp_path / "away")
    assert found == lasting_lines(tmp_path / "hand")
    assert len([line for line in found if not line.startswith("#")]) > 50
