"""examples/corpus: its figures are those of a plain loop, its report shows them, and the law holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = ROOT / "examples" / "corpus"
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


def python(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with Moil importable."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def corpus(*arguments: str | Path, cwd: Path) -> str:
    """Run the example; its standard output."""
    done = python(CORPUS / "main.py", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def plain(source: Path, *limit: str, cwd: Path) -> dict[str, Any]:
    """The same figures by a plain loop."""
    done = python(HERE / "plain.py", source, *limit, cwd=cwd)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def report_json(folder: Path) -> dict[str, Any]:
    """What report.json says; of a problem only whether there is one, for its words are Python's."""
    document: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for module in document["modules"].values():
        module["problem"] = bool(module["problem"])
    return document


class Page(HTMLParser):
    """What a reader of the page finds: its title, its plots and the cells of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.titles: list[str] = []
        self.plots: list[str] = []
        self.shapes: list[str] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag == "svg":
            self.plots.append(dict(attrs)["aria-label"] or "")
        if tag in ("rect", "circle"):
            self.shapes.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "title" and "svg" not in self.open:
            self.titles.append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        if self.open[-1:] == ["title"] and "svg" not in self.open:
            self.titles[-1] += data


def check_page(page: Page, figures: dict[str, Any]) -> None:
    """The page shows the figures: two plots, and the rows that its tables should have."""
    modules, importers, packages = figures["modules"], figures["importers"], figures["packages"]
    several = {name: package for name, package in packages.items() if package["modules"] > 1}
    assert page.titles == [figures["title"]]
    assert page.plots == ["Number of modules by length in lines", "Docstring coverage against length in lines"]
    assert page.shapes.count("circle") == sum(package["code_lines"] > 0 for package in packages.values())
    expected = [[name, f"{count:,}", f"{count / len(modules):.0%}"] for name, count in first(importers, 15, importers.get)]
    expected += [
        [name, *cells(figure), f"{figure['coverage']:.0%}"]
        for name, figure in first(modules, 15, lambda name: modules[name]["lines"])
    ]
    expected += [
        [name, f"{figure['modules']:,}", *cells(figure), f"{figure['coverage']:.0%}"]
        for name, figure in first(several, 30, lambda name: several[name]["lines"])
    ]
    assert [row for row in page.rows if row[0] not in ("module", "package")][: len(expected)] == expected


def first(items: dict[str, Any], at_most: int, size: Any) -> list[tuple[str, Any]]:
    """The largest, and those of a size in order of name."""
    return [(name, items[name]) for name in sorted(items, key=lambda name: (-size(name), name))[:at_most]]


def cells(figures: dict[str, int]) -> list[str]:
    """The figures that tables of modules and of packages have in common."""
    return [f"{figures[name]:,}" for name in ("lines", "functions", "classes")]


def check_against_plain_loop(tmp_path: Path, *limit: str) -> None:
    """All figures of the report, and the table that is printed, are those of the plain loop."""
    options = ["--limit", *limit] if limit else []
    printed = corpus(*options, "--report", "out", cwd=tmp_path)
    figures = report_json(tmp_path / "out")
    expected = plain(STANDARD_LIBRARY, *limit, cwd=tmp_path)
    assert figures == {"title": figures["title"], **expected}
    check_page(Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8")), figures)
    check_printed(printed, figures, tmp_path / "out" / "report.html")


def check_printed(printed: str, figures: dict[str, Any], page: Path) -> None:
    """The headline table has the totals and the ten most imported modules; the last line names the report."""
    lines = printed.splitlines()
    total = figures["total"]
    rows = {" ".join(line.split()[:-1]): line.split()[-1] for line in lines[1:-1] if line}
    assert lines[0] == figures["title"]
    assert lines[-1] == f"report: {page}"
    assert rows["modules"] == f"{total['modules']:,}"
    assert rows["lines"] == f"{total['lines']:,}"
    assert rows["functions"] == f"{total['functions']:,}"
    assert rows["docstring coverage"] == f"{total['documented'] / total['documentable']:.1%}"
    for name, count in first(figures["importers"], 10, figures["importers"].get):
        assert rows[name] == f"{count:,}"


@pytest.mark.slow
def test_figures_of_the_first_modules_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    check_against_plain_loop(tmp_path, "60")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_figures_of_the_whole_library_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    check_against_plain_loop(tmp_path)


ODD_MODULES = {
    "latin.py": b'# -*- coding: latin-1 -*-\n"""Doc \xe9."""\nname = "\xe9"\n\n\ndef f():\n    "d"\n',
    "bom.py": b'\xef\xbb\xbf"""Doc."""\r\nimport os\r\n\r\n# comment\r\n',
    "empty.py": b"",
    "form_feed.py": b'def f():\n\x0c\n    """Two\n    lines."""\n    return """\n# text\n\n"""\n',
    "python2.py": b'print "two"\n',
    "not_utf8.py": b'x = "\xff\xfe"\n',
    "klingon.py": b"# coding: klingon\n",
    "nul.py": b"x = 1\0\n",
    "package/__init__.py": b"from . import sibling\nfrom .inner import x\nfrom .. import nothing\nimport a.b as c\n",
    "package/inner/__init__.py": b"class _Hidden:\n    def shown(self): pass",
    "package/inner/leaf.py": b"from .. import top\nfrom ..other import z\nimport os\n\n\ndef f():\n    import os\n",
    "tests/test_it.py": b"skipped = True\n",
    "not-a-module.py": b"skipped = True\n",
}


@pytest.mark.slow
def test_odd_modules_are_counted_and_those_that_cannot_be_parsed_are_not_fatal(tmp_path: Path) -> None:
    for name, source in ODD_MODULES.items():
        file = tmp_path / "odd" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source)
    printed = corpus("--source", "odd", "--report", "out", cwd=tmp_path)
    figures = report_json(tmp_path / "out")
    assert figures == {"title": "odd", **plain(tmp_path / "odd", cwd=tmp_path)}
    assert figures["total"] == {
        "modules": 11,
        "unparsable": 4,
        "lines": 7 + 4 + 0 + 8 + 1 + 1 + 1 + 1 + 4 + 2 + 7,
        "code_lines": 2 + 1 + 0 + 3 + 4 + 2 + 5,
        "functions": 4,
        "classes": 1,
        "documentable": 11,
        "documented": 4,
        "coverage": round(4 / 11, 6),
    }
    assert figures["importers"] == {"os": 2, "package": 2, "package.inner": 1, "a.b": 1, "package.other": 1}
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    unparsable = {name for name, module in figures["modules"].items() if module["problem"]}
    assert unparsable == {"python2", "not_utf8", "klingon", "nul"}
    assert {row[0] for row in page.rows[-4:]} == unparsable
    assert "odd" in printed.splitlines()[0]


@pytest.mark.slow
def test_the_report_is_put_where_the_command_was_typed(tmp_path: Path) -> None:
    page = tmp_path / "corpus-report" / "report.html"
    assert corpus("--limit", "3", cwd=tmp_path).splitlines()[-1] == f"report: {page}"
    assert page.exists()


@pytest.mark.slow
def test_a_directory_without_modules_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "hollow").mkdir()
    done = python(CORPUS / "main.py", "--source", "hollow", cwd=tmp_path)
    assert done.returncode == 1
    assert f"there are no Python modules under {tmp_path / 'hollow'}" in done.stderr


@pytest.mark.slow
def test_the_law_a_run_returns_and_writes_what_plain_calls_do(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    call = "from pathlib import Path; import sys, main; print(main.main(limit=20, report=Path(sys.argv[1])))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(CORPUS)])}
    report = str(tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-c", call, report],
        cwd=tmp_path / "plain",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert corpus("--limit", "20", "--report", report, cwd=tmp_path) == done.stdout
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
