"""How a workflow is tested: call it."""

from pathlib import Path

import moil
from moil import File

from words import count, main


# [plain]
def test_a_job_is_its_function(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("to be or not to be")
    assert count(File(text)) == 6


def test_a_workflow_is_its_main_job(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("to be or not to be")
    assert main([File(text), File(text)]) == 12
# [/plain]


# [run]
def test_the_engine_agrees(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("to be or not to be")
    texts = [File(text), File(text)]
    assert moil.run(main, texts, job_store=str(tmp_path / "run"), progress=False) == main(texts)
# [/run]
