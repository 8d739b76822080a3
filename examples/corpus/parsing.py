"""Measure one Python module: how long it is, what it defines, what it imports, how much of it is documented."""

from __future__ import annotations

import ast
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Counts:
    """Figures that can be added up: of one module, of a package, of a whole library."""

    modules: int = 0
    unparsable: int = 0
    lines: int = 0
    code_lines: int = 0
    functions: int = 0
    classes: int = 0
    documentable: int = 0
    documented: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Counts)))

    @property
    def coverage(self) -> float:
        """The share of modules, public classes and public functions that have a docstring, from 0 to 1."""
        return self.documented / self.documentable if self.documentable else 0.0


@dataclass(frozen=True)
class Module:
    """One module, what it imports (full names, sorted, each once) and, if it cannot be parsed, why."""

    name: str
    counts: Counts
    imports: tuple[str, ...] = field(default=(), repr=False)
    problem: str = ""


def parse_module(name: str, path: Path, *, is_package: bool = False) -> Module:
    """Measure the module `name` in the file `path`. A file that Python cannot parse is counted, not an error."""
    data = path.read_bytes()
    lines = len(data.splitlines())
    try:
        tree = parse(data, name)
        text = read_text(path)
    except (SyntaxError, ValueError, RecursionError) as error:
        return Module(name, Counts(modules=1, unparsable=1, lines=lines), problem=f"{type(error).__name__}: {error}")
    package = name if is_package else name.rpartition(".")[0]
    return Module(name, count(tree, text, lines), tuple(sorted(set(imported(tree, package)))))


def parse(data: bytes, name: str) -> ast.Module:
    """The syntax tree of the module `name`; warnings about old-fashioned code in it are not our business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(data, name)
        except MemoryError:  # what CPython's parser says of an expression nested too deeply for it
            raise ValueError("nested too deeply") from None


def read_text(path: Path) -> str:
    """The text of a source file, in the encoding that the file itself declares."""
    with tokenize.open(path) as file:
        return file.read()


def count(tree: ast.Module, text: str, lines: int) -> Counts:
    """All figures of one parsed module."""
    definitions = [node for node in ast.walk(tree) if isinstance(node, Definition)]
    public = [tree, *(node for node in definitions if not node.name.startswith("_"))]
    classes = sum(isinstance(node, ast.ClassDef) for node in definitions)
    return Counts(
        modules=1,
        lines=lines,
        code_lines=count_code_lines(text, docstring_lines([tree, *definitions])),
        functions=len(definitions) - classes,
        classes=classes,
        documentable=len(public),
        documented=sum(ast.get_docstring(node, clean=False) is not None for node in public),
    )


def docstring_lines(nodes: list[ast.Module | Definition]) -> set[int]:
    """The numbers of the lines that docstrings stand on."""
    numbers: set[int] = set()
    for node in nodes:
        if ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            numbers.update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return numbers


def count_code_lines(text: str, without: set[int]) -> int:
    """How many lines are neither blank, nor only a comment, nor part of a docstring."""
    stripped = (line.strip() for number, line in enumerate(text.split("\n"), start=1) if number not in without)
    return sum(bool(line) and not line.startswith("#") for line in stripped)


def imported(tree: ast.Module, package: str) -> Iterator[str]:
    """The full name of every module that is imported, wherever the import statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = absolute_name(node, package)
            if name:
                yield name


def absolute_name(node: ast.ImportFrom, package: str) -> str:
    """What ``from . import x`` or ``from ..y import z`` means in a module of `package`; empty if it means nothing."""
    if node.level == 0:
        return node.module or ""
    parents = package.split(".") if package else []
    if node.level > len(parents):
        return ""
    return ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])
