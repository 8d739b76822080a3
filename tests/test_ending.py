"""A program whose last act was a run ends quickly, and nothing that it would have done is left out."""

import subprocess
import sys

PROGRAM = """
import atexit
import moil
import other
from pathlib import Path


class Circle:
    def __init__(self, name, mode="w"):
        self.file = open(name, mode)
        self.me = self


class Loud:
    def __init__(self, word, *, circle):
        self.word, self.print, self.me = word, print, self if circle else None

    def __del__(self):
        self.print(self.word)


@moil.job(memory="10 MiB", disk="1 MiB")
def main():
    return "the value"


if __name__ == "__main__":
    reached, binary = Circle("reached"), Circle("binary", "wb")
    reached.file.write("text in a circle")
    binary.file.write(b"bytes in a circle")
    plain = open("plain", "w")
    plain.write("text of a global")
    Loud("garbage is finalized", circle=True)
    other.one = Loud("of a module", circle=False)
    last = Loud("a global is finalized", circle=False)
    atexit.register(print, "at exit")
    moil.main(main)
"""


def test_what_must_happen_at_the_end_happens(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "other.py").write_text("def function(): pass\n")
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=True, capture_output=True, text=True)
    told = done.stdout.splitlines()
    assert sorted(told) == ["a global is finalized", "at exit", "garbage is finalized", "of a module", "the value"]
    assert told.index("the value") < told.index("at exit") < told.index("a global is finalized")
    assert (tmp_path / "reached").read_text() == "text in a circle"
    assert (tmp_path / "binary").read_text() == "bytes in a circle"
    assert (tmp_path / "plain").read_text() == "text of a global"


def test_a_file_that_cannot_be_written_spoils_nothing(tmp_path):
    program = PROGRAM.replace('Circle("reached")', 'Circle("/dev/full")')
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "other.py").touch()
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "binary").read_text() == "bytes in a circle"


def test_a_program_that_calls_run_ends_as_ever(tmp_path):
    code = "import gc, atexit; atexit.register(lambda: print(gc.get_freeze_count()))\nimport moil\n"
    (tmp_path / "program.py").write_text(
        code + "@moil.job\ndef main(): return 1\nif __name__ == '__main__': moil.run(main, progress=False)\n"
    )
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "0\n"
