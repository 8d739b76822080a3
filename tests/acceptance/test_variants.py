"""examples/variants: a run's variants are those that the same programs find when a person types the commands."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VARIANTS = ROOT / "examples" / "variants"
LAMBDA = Path("/usr/share/doc/bowtie2/examples")
INPUTS = [LAMBDA / "reference/lambda_virus.fa.gz", LAMBDA / "reads/reads_1.fq.gz", LAMBDA / "reads/reads_2.fq.gz"]
PROGRAMS = ["bowtie2", "bowtie2-build", "samtools", "bcftools"]
CHANGING = ("##bcftoolsCommand=", "##bcftools_callCommand=", "##reference=", "##fileDate=")


@pytest.fixture
def lambda_reads() -> list[Path]:
    """The reference and reads of the phage lambda, and the programs; without them: skipped at home, failing in CI."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    missing += [str(path) for path in INPUTS if not path.exists()]
    if missing:
        reason = f"not here: {', '.join(missing)} (apt-get install bowtie2 bowtie2-examples samtools bcftools)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return INPUTS


def lasting_lines(vcf: Path) -> list[str]:
    """The lines of a VCF that do not tell of dates, paths and command lines."""
    return [line for line in vcf.read_text().splitlines() if not line.startswith(CHANGING)]


def run_example(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the example."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(VARIANTS / "main.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_variants_are_those_of_the_same_commands_by_hand(tmp_path: Path, lambda_reads: list[Path]) -> None:
    by_hand = tmp_path / "by_hand.vcf"
    hand = tmp_path / "hand"
    hand.mkdir()
    script = [HERE / "variants_by_hand.sh", *lambda_reads, "lambda", by_hand]
    subprocess.run(["sh", *map(str, script)], cwd=hand, capture_output=True, timeout=300, check=True)
    done = run_example(*lambda_reads, "--sample", "lambda", "--output", "lambda.vcf", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = lasting_lines(tmp_path / "lambda.vcf")
    records = [line for line in found if not line.startswith("#")]
    assert found == lasting_lines(by_hand)
    assert len(records) > 50
    assert found[-len(records) - 1].split("\t")[-1] == "lambda"


@pytest.mark.slow
def test_a_reference_that_is_none_fails_with_the_words_of_the_program(tmp_path: Path, lambda_reads: list[Path]) -> None:
    nonsense = tmp_path / "nonsense.fa"
    nonsense.write_text("this is no FASTA\n")
    done = run_example(nonsense, *lambda_reads[1:], "--output", "lambda.vcf", cwd=tmp_path)
    assert done.returncode == 1
    assert "samtools faidx" in done.stderr
    assert "ended with exit status 1; its last words:" in done.stderr
    assert "[faidx]" in done.stderr


@pytest.fixture
def tools() -> dict[str, Any]:
    """The sibling module of the example."""
    return runpy.run_path(str(VARIANTS / "tools.py"))


def test_a_program_that_is_not_installed_is_named(tools: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="no-such-program is not installed") as caught:
        tools["run"]("no-such-program", "--help")
    assert caught.type.__name__ == "ToolError"


def test_a_program_that_fails_is_quoted(tools: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="exit status 7; its last words:\nalas") as caught:
        tools["run"](sys.executable, "-c", "import sys; print('alas', file=sys.stderr); sys.exit(7)")
    assert caught.type.__name__ == "ToolError"


def test_of_a_talkative_program_only_the_end_is_quoted(tools: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="line 999") as caught:
        tools["run"](sys.executable, "-c", "import sys; [print('line', n, file=sys.stderr) for n in range(1000)]; exit(1)")
    assert "line 980" in str(caught.value)
    assert "line 979" not in str(caught.value)


def test_a_program_that_is_killed_is_said_to_be(tools: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="signal 9; its last words:\n\\(nothing\\)"):
        tools["run"](sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
