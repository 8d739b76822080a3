"""Bringing the program to a worker: how long until the first line of user code runs there, what is sent, what it takes.

    python bench/deployment.py [--reps 3] [--with moil,toil] [--cache DIR] [--out FILE]

Moil's workers are those of the batch system `processes`, which are given nothing and fetch everything from the job store
into a cache of their own; Toil's are described in programs/deployment_toil.py. Every run has a directory of its own, which
is not removed before the end: on ext4 a file system in which many files were just removed is slow to make new ones.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import measure
from environments import PROGRAMS, ROOT, call
from tables import number

SCIENCE = ("numpy==2.3.5", "pandas==2.3.3", "scipy==1.16.3")
MODULES = "numpy,pandas,scipy.linalg"
LARGE = 500_000_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row."""

    title: str
    system: str
    science: bool = False
    #: The program imports what it needs at its top, and not only in the jobs that use it.
    top: bool = False
    large: bool = False
    options: tuple[str, ...] = ()
    deploy: bool = True
    #: The run that is measured comes after another one with the same caches: after nothing, the same, or an edit; or
    #: ("node") after the same on a machine other than that of its workers.
    after: str = ""


CASES = (
    Case(title="ten siblings, no deployment", system="moil", options=("--deploy", "off"), deploy=False),
    Case(title="ten siblings, no deployment, again", system="moil", options=("--deploy", "off"), deploy=False, after="run"),
    Case(title="ten siblings", system="moil"),
    Case(title="ten siblings, a fresh node", system="moil", after="node"),
    Case(title="ten siblings, again", system="moil", after="run"),
    Case(title="environment with numpy, pandas, scipy: a fresh machine", system="moil", science=True),
    Case(title="the same, a fresh node", system="moil", science=True, after="node"),
    Case(title="the same, a used machine", system="moil", science=True, after="run"),
    Case(title="the same, after an edit", system="moil", science=True, after="edit"),
    Case(title="the same, imported at the top of the script: a fresh machine", system="moil", science=True, top=True),
    Case(title="imported at the top, a fresh node", system="moil", science=True, top=True, after="node"),
    Case(title="imported at the top, a used machine", system="moil", science=True, top=True, after="run"),
    Case(title="500 MB beside the script, not asked for", system="moil", large=True),
    Case(title="500 MB beside the script, not asked for, again", system="moil", large=True, after="run"),
    Case(title="500 MB beside the script, included", system="moil", large=True, options=("--deploy-include", "data.bin")),
    Case(title="ten siblings, no deployment", system="toil", deploy=False),
    Case(title="ten siblings", system="toil"),
    Case(title="environment with numpy, pandas, scipy: a fresh machine", system="toil", science=True),
    Case(title="the same, imported at the top of the script: a fresh machine", system="toil", science=True, top=True),
    Case(title="500 MB beside the script", system="toil", large=True),
)


class Bench:
    """Where everything is."""

    def __init__(self, cache: Path) -> None:
        self.home = cache / "deployment"
        self.work = cache / "work"
        self.home.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(parents=True, exist_ok=True)

    def python(self, system: str, science: bool) -> Path:
        """The interpreter of an environment with the system, and with the science if asked for; made if there is none."""
        place = self.home / f"{system}{'-science' if science else ''}"
        mark = place / "installed"
        wanted = [str(ROOT)] if system == "moil" else ["toil==9.6.0"]
        if not mark.exists():
            call(sys.executable, "-m", "venv", place)
            call(place / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted, *(SCIENCE if science else ()))
            mark.touch()
        elif system == "moil":
            call(place / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--force-reinstall", "--no-deps", *wanted)
        return place / "bin/python"

    def project(self, case: Case, folder: Path) -> list[str]:
        """The program of a case; what to start after the interpreter."""
        program = PROGRAMS / f"deployment_{case.system}.py"
        inside = case.system == "toil" and case.science
        target = self._package(folder) if inside else folder
        target.mkdir(parents=True, exist_ok=True)
        text = program.read_text()
        (target / "main_program.py").write_text(text.replace("import sys\n", f"import sys\nimport {MODULES}\n") if case.top else text)
        for index in range(10):
            (target / f"helper{index}.py").write_text(f"VALUE = {index}\n")
        if case.large:
            with (target / "data.bin").open("wb") as file:
                for _ in range(LARGE // 1_000_000):
                    file.write(os.urandom(1_000_000))
        return ["-m", "bench_package.main_program"] if inside else [str(target / "main_program.py")]

    def _package(self, folder: Path) -> Path:
        """Toil ships an environment only for a program that is installed in it."""
        place = next((self.home / "toil-science" / "lib").glob("python*/site-packages")) / "bench_package"
        place.mkdir(exist_ok=True)
        (place / "__init__.py").touch()
        return place

    def run(self, case: Case) -> dict[str, float]:
        """One row's figures, of one run."""
        python = self.python(case.system, case.science)
        folder = Path(tempfile.mkdtemp(prefix=f"{case.system}-", dir=self.work))
        start = self.project(case, folder / "project")
        if case.after:
            self._start(case, python, start, folder, "first")
        if case.after == "edit":
            (folder / "project" / "helper3.py").write_text("VALUE = 3  # edited\n")
        return self._start(case, python, start, folder, "measured")

    def _start(self, case: Case, python: Path, start: Sequence[str], folder: Path, name: str) -> dict[str, float]:
        work = folder / name
        for part in ("home", "tmp", "marks"):
            (work / part).mkdir(parents=True)
        marks, store = work / "marks" / "marks", folder / "stores" / name
        store.parent.mkdir(exist_ok=True)
        modules = MODULES if case.science else ""
        if case.system == "moil":
            words = [str(marks), "--modules", modules, "--batch-system", "processes", "--job-store", str(store), "--clean", "never"]
            cache = folder / ("another-cache" if (case.after, name) == ("node", "first") else "cache")
            words += ["--worker-cache", str(cache), "--no-progress", "--log-level", "error", *case.options]
        else:
            words = [str(marks), modules, str(store), "yes" if case.deploy else "no"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MOIL_", "PYTHON", "VIRTUAL_ENV"))}
        env = {**kept, "HOME": str(folder), "TMPDIR": str(work / "tmp"), "PATH": f"{python.parent}:{os.defpath}", "VIRTUAL_ENV": str(python.parent.parent)}
        begun = measure.time.time()
        cost = measure.run([str(python), *start, *words], env=env, work=work / "home", timeout=600)
        assert cost.status == 0, cost.output[-2000:]
        assert "RESULT 45" in cost.output, cost.output[-2000:]
        first = min(float(line.split()[0]) for line in marks.read_text().splitlines())
        return {
            "first": first - begun, "wall": cost.wall, "cpu": cost.cpu, "leader": cost.leader_mib, "tree": cost.tree_mib,
            "written": cost.written_mib, "shipped": _size(store), "foreign": cost.foreign,
        }  # fmt: skip


def _size(store: Path) -> float:
    inner = store / "objects" / "deploy"
    places = [inner] if inner.exists() else list(store.rglob("shared"))
    return sum(path.stat().st_size for place in places for path in place.rglob("*") if path.is_file()) / 1024**2


def rows(bench: Bench, systems: Sequence[str], reps: int) -> Iterator[list[str]]:
    """The lines of the table."""
    for case in CASES:
        if case.system not in systems:
            continue
        found = [bench.run(case) for _ in range(reps)]
        middle = {key: statistics.median(one[key] for one in found) for key in found[0]}
        firsts = [one["first"] for one in found]
        busy = " ~" if middle["foreign"] > 0.1 else ""
        yield [
            f"{case.system}: {case.title}", f"{number(middle['first'])} ({number(min(firsts))}–{number(max(firsts))}){busy}",
            *(number(middle[key]) for key in ("wall", "cpu", "leader", "tree", "shipped", "written")),
        ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--with", dest="systems", default="moil,toil")
    parser.add_argument("--cache", default="~/.cache/moil-bench", help="where environments and work directories are; a disk, not a tmpfs")
    parser.add_argument("--out", help="the table goes to this file too")
    options = parser.parse_args()
    measure.become_subreaper()
    bench = Bench(Path(options.cache).expanduser().resolve())
    head = ["case", "first user code s", "wall s", "CPU s", "leader MiB", "all MiB", "in the store MiB", "written MiB"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 1)}"]
    print("\n".join(lines), flush=True)
    for row in rows(bench, options.systems.split(","), options.reps):
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    if options.out:
        Path(options.out).write_text("\n".join(lines) + "\n")
    shutil.rmtree(bench.work, ignore_errors=True)



if __name__ == "__main__":
    main()
