"""The documentation is true: its code is files that run, its output is theirs, its tables are made of the code.

* A ```python block is a file of docs/examples, or a region of one between ``# [name]`` and ``# [/name]``.
* A ```console block is run, all blocks of a page after one another in one directory that holds copies of docs/examples and
  examples/deploy.
  What it shows after a command is what the command prints on both streams; ``…`` stands for anything in a line, or alone
  on a line for any lines. A command that fails is followed by ``$ echo $?``. Where nothing is shown nothing is compared.
* A ```toml block is read, and its [tool.moil] holds only settings that there are.
* ```text and ```sh blocks are only looked at by people.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from moil.measures import UNITS
from moil.plugins import settings_classes
from moil.settings import resolve

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = [*(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")), *sorted(DOCS.rglob("*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"^ *# \[/?\w+\]\n", re.MULTILINE)
REGION = re.compile(r"^ *# \[(\w+)\]\n(.*?)^ *# \[/\1\]$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
LANGUAGES = {"python", "console", "toml", "text", "sh"}


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: Path
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Step:
    """A command of a console block, and what is shown below it."""

    command: str
    shown: str


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def steps_of(block: Block) -> Iterator[Step]:
    """The commands of a console block."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, shown = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)\n(.*)", part, re.DOTALL).groups()
        yield Step(command, shown)


def with_consoles() -> list[Path]:
    """The pages that have something to run."""
    return [page for page in PAGES if any(block.page == page and block.language == "console" for block in BLOCKS)]


def name_of(thing: Path | Block) -> str:
    """What pytest shows."""
    page = thing.page if isinstance(thing, Block) else thing
    name = page.relative_to(ROOT).as_posix()
    return f"{name}:{thing.line}" if isinstance(thing, Block) else name


def of(language: str) -> list[Block]:
    """All blocks of one language."""
    return [block for block in BLOCKS if block.language == language]


def written(text: str) -> str:
    """Code without marks, indentation, and blank lines around it."""
    return textwrap.dedent(MARK.sub("", text)).strip("\n")


def examples() -> list[Path]:
    """The files of the documentation's code."""
    return sorted(EXAMPLES.glob("*.py"))


def in_examples() -> set[str]:
    """Every file, and every region of one."""
    texts = [path.read_text(encoding="utf-8") for path in examples()]
    return {written(text) for text in texts} | {written(region) for text in texts for _, region in REGION.findall(text)}


def generator() -> ModuleType:
    """docs/generate.py."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("block", of("python"), ids=name_of)
def test_python_is_an_example(block: Block) -> None:
    known = written(block.text) in in_examples()
    assert known, "no file of docs/examples, and no marked region of one"


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES


@pytest.mark.parametrize("block", of("toml"), ids=name_of)
def test_toml_holds_settings(block: Block, tmp_path: Path) -> None:
    table = tomllib.loads(block.text)
    name = "pyproject.toml" if "tool" in table else "moil.toml"
    (tmp_path / name).write_text(block.text, encoding="utf-8")
    resolve(*settings_classes(), environ={"XDG_CONFIG_HOME": str(tmp_path)}, directory=tmp_path, units=UNITS)


def test_every_example_is_run() -> None:
    commands = " ".join(step.command for block in of("console") for step in steps_of(block))
    imported = " ".join(path.read_text(encoding="utf-8") for path in examples())
    idle = [one.name for one in examples() if one.name not in commands and f"from {one.stem} import" not in imported]
    assert not idle


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def anchors(page: Path) -> set[str]:
    """What can stand behind # in a link to the page."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=name_of)
def test_generated_parts_are_fresh(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generator().generated(text) == text, "run: python docs/generate.py"


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in LINK.findall(index)}
    assert {page for page in DOCS.rglob("*.md") if page.name != "README.md"} <= linked


def environment(home: Path) -> dict[str, str]:
    """As on a machine where nobody has configured anything."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MOIL_", "PYTEST_", "COV_"))}
    return kept | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "COLUMNS": "80",
        "LC_ALL": "C.UTF-8",
    }


class Session:
    """Someone at a prompt who types what a page says."""

    def __init__(self, home: Path) -> None:
        self.directory = home
        self.environment = environment(home)
        self.status = 0

    def type(self, command: str) -> str:
        """What the command prints, on both streams."""
        if command == "echo $?":
            return f"{self.status}\n"
        if command.startswith("cd "):
            self.directory = (self.directory / command.removeprefix("cd ")).resolve()
            return ""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        self.status = done.returncode
        return done.stdout


def matches(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed, but for what it leaves out."""
    lines = [re.escape(line.rstrip()).replace("…", r"[^\n]*") + "\n" for line in shown.splitlines()]
    pattern = "".join(r"(?:[^\n]*\n)*?" if line == "[^\\n]*\n" else line for line in lines)
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed.splitlines())) is not None


@pytest.mark.slow
@pytest.mark.parametrize("page", with_consoles(), ids=name_of)
def test_commands_do_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "docs" / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "examples" / "deploy", tmp_path / "examples" / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    session = Session(tmp_path)
    steps = [step for block in of("console") if block.page == page for step in steps_of(block)]
    following = [*(step.command for step in steps[1:]), ""]
    for step, after in zip(steps, following, strict=True):
        printed = session.type(step.command)
        assert session.status == 0 or "echo $?" in (step.command, after), f"$ {step.command}\n{printed}"
        assert not step.shown or matches(step.shown, printed), f"$ {step.command}\n{printed}"


def test_matches() -> None:
    assert matches("a … c\n…\nend\n", "a b c\n1\n2\nend\n")
    assert matches("…\nend\n", "end\n")
    assert not matches("a … c\n", "a b\nc\n")
    assert not matches("end\n", "more\nend\n")
