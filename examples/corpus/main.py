"""Index every module of Python's standard library, a job for each, and write a report.

    python main.py --source ~/project/src

does the same for any other tree of Python modules.
"""

from __future__ import annotations

import os
import platform
import sysconfig
from pathlib import Path

import moil
from moil import File

from index import Index
from parsing import parse_module
from report import headline, to_html, to_json

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
SKIPPED = {"__pycache__", "idle_test", "test", "tests"}
MERGED_AT_ONCE = 16


@moil.job(cores=1, memory="256 MiB", disk="64 MiB")
def measure(name: str, source: File) -> Index:
    """Parse one module."""
    return Index.of(parse_module(name, source.path(), is_package=source.name == "__init__.py"))


@moil.job(cores=1, memory="256 MiB", disk="64 MiB")
def merge(parts: list[Index]) -> Index:
    """Put a handful of indexes together."""
    return Index.merged(parts)


@moil.job(cores=1, memory="512 MiB", disk="256 MiB")
def write_report(title: str, index: Index) -> tuple[File, File]:
    """Write report.html and report.json."""
    page, data = Path("report.html"), Path("report.json")
    page.write_text(to_html(title, index), encoding="utf-8")
    data.write_text(to_json(title, index), encoding="utf-8")
    return File.save(page), File.save(data)


@moil.job(local=True)
def publish(title: str, index: Index, files: tuple[File, File], report: Path) -> str:
    """Put the report where the user wants it and say what it says."""
    for file in files:
        file.export(report / file.name)
    return f"{headline(title, index)}\n\nreport: {report / 'report.html'}"


@moil.job(local=True)
def main(source: Path = STANDARD_LIBRARY, limit: int | None = None, report: Path = Path("corpus-report")) -> str:
    """Index the Python modules under --source, or only the first --limit of them, and write a report into --report."""
    title = title_of(source)
    measured = [measure(name, File.save(path)) for name, path in find_modules(source)[:limit]]
    index = merge_all(measured)
    return publish(title, index, write_report(title, index), report)


def title_of(source: Path) -> str:
    """What the report is about."""
    if source.samefile(STANDARD_LIBRARY):
        return f"Python {platform.python_version()} standard library"
    return source.resolve().name


def merge_all(parts: list[Index]) -> Index:
    """Merge by a tree of jobs: each starts as soon as its own handful is there, and none sees more than a handful."""
    while len(parts) > 1:
        parts = [merge(parts[i : i + MERGED_AT_ONCE]) for i in range(0, len(parts), MERGED_AT_ONCE)]
    return parts[0] if parts else Index.merged([])


def find_modules(source: Path) -> list[tuple[str, Path]]:
    """The name and file of every module under a directory, in order of name; tests and installed packages are skipped."""
    root = source.parent if (source / "__init__.py").exists() else source
    found = []
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name.isidentifier() and name not in SKIPPED]
        found += [Path(folder, name) for name in files if name.endswith(".py") and name[:-3].isidentifier()]
    if not found:
        raise FileNotFoundError(f"there are no Python modules under {source}")
    return sorted((module_name(path.relative_to(root)), path) for path in found)


def module_name(path: Path) -> str:
    """What ``import`` calls the module in this file, whose path is relative to the root of imports."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


if __name__ == "__main__":
    moil.main(main)
