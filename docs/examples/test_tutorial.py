"""Tests of the tutorial's workflow."""

from pathlib import Path

import moil
from moil import File

from tutorial_5_mended import main, warmest


def table(directory: Path, *rows: str) -> File:
    """A table with these rows."""
    path = directory / "somewhere.csv"
    path.write_text("\n".join(["month,celsius", *rows]))
    return File(path)


# [tests]
def test_a_reading_that_is_missing_does_not_count(tmp_path: Path) -> None:
    readings = table(tmp_path, "2025-01,3.5", "2025-02,", "2025-03,9.0")
    assert warmest(readings) == ("2025-03", 9.0)


def test_the_report_names_the_place(tmp_path: Path) -> None:
    result = main([table(tmp_path, "2025-01,3.5")])
    assert result.path().read_text().splitlines() == ["place,month,celsius", "somewhere,2025-01,3.5"]


def test_a_run_gives_what_the_plain_call_gives(tmp_path: Path) -> None:
    tables = [table(tmp_path, "2025-01,3.5")]
    result = moil.run(main, tables, job_store=str(tmp_path / "run"), progress=False)
    assert result.path().read_text() == main(tables).path().read_text()
# [/tests]
