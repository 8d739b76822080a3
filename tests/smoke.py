"""Run with a Python that has nothing but the wheel: the shortest use of everything."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = """
import moil

@moil.job
def double(number: int) -> int:
    return 2 * number

@moil.job
def main(count: int = 3) -> list[int]:
    return [double(number) for number in range(count)]

if __name__ == "__main__":
    moil.main(main)
"""


def run(*words: str, where: Path) -> str:
    return subprocess.run(words, cwd=where, check=True, capture_output=True, text=True, timeout=60).stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        (where / "main.py").write_text(PROGRAM)
        assert json.loads(run(sys.executable, "main.py", "--clean", "never", "--job-store", "store", where=where)) == [0, 2, 4]
        moil = str(Path(sys.executable).with_name("moil"))
        assert json.loads(run(moil, "status", "store", "--json", where=where))["state"] == "finished"
        run(moil, "clean", "store", where=where)
        assert not (where / "store").exists()
    print("the wheel works")


if __name__ == "__main__":
    main()
