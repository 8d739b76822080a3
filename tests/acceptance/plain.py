"""The figures of examples/corpus by a plain loop that shares no code with it.

    python plain.py DIRECTORY [LIMIT]

prints them as JSON in the form of report.json, without its title.
"""

import ast
import importlib.util
import io
import json
import sys
import tokenize
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

FIGURES = ["modules", "unparsable", "lines", "code_lines", "functions", "classes", "documentable", "documented"]
NOT_OURS = {"test", "tests", "idle_test", "__pycache__"}


def is_text(node: ast.AST) -> bool:
    """Whether a statement is nothing but a string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


class Reader(ast.NodeVisitor):
    """Visits a module from top to bottom and keeps count."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.count: Counter[str] = Counter()
        self.imports: set[str] = set()
        self.documentation: list[tuple[int, int]] = []

    def see(self, node: Any, *, public: bool) -> None:
        """Look for a docstring, then go inside."""
        documented = bool(node.body) and is_text(node.body[0])
        if documented:
            self.documentation.append((node.body[0].lineno, node.body[0].end_lineno))
        if public:
            self.count["documentable"] += 1
            self.count["documented"] += documented
        self.generic_visit(node)

    def visit_Module(self, node: ast.Module) -> None:
        self.see(node, public=True)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.count["classes"] += 1
        self.see(node, public=node.name[0] != "_")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.count["functions"] += 1
        self.see(node, public=node.name[0] != "_")

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.count["functions"] += 1
        self.see(node, public=node.name[0] != "_")

    def visit_Import(self, node: ast.Import) -> None:
        self.imports.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        try:
            name = importlib.util.resolve_name("." * node.level + (node.module or ""), self.package)
        except ImportError:
            return
        self.imports.add(name)


def read(name: str, file: Path) -> dict[str, Any]:
    """All figures of one module."""
    count: Counter[str] = Counter({"modules": 1})
    data = file.read_bytes()
    count["lines"] = sum(1 for _ in io.TextIOWrapper(io.BytesIO(data), "latin-1"))
    reader = Reader(name if file.stem == "__init__" else name.rpartition(".")[0])
    try:
        reader.visit(compile(data, file.name, "exec", ast.PyCF_ONLY_AST))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        reader.imports.clear()
        count["unparsable"] = 1
    else:
        count += reader.count
        count["code_lines"] = code_lines(data, reader.documentation)
    figures = {figure: count[figure] for figure in FIGURES}
    return {
        **figures,
        "coverage": coverage(figures),
        "imports": sorted(reader.imports),
        "problem": bool(count["unparsable"]),
    }


def code_lines(data: bytes, documentation: list[tuple[int, int]]) -> int:
    """The lines that are code: not blank, not a comment, not in a docstring."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    found = 0
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(data), encoding), 1):
        inside = any(first <= number <= last for first, last in documentation)
        found += not inside and not line.isspace() and line.split()[0][0] != "#"
    return found


def coverage(figures: dict[str, int]) -> float:
    """The share of what is documented, rounded as in the report."""
    return round(figures["documented"] / figures["documentable"], 6) if figures["documentable"] else 0.0


def modules_under(directory: Path) -> dict[str, Path]:
    """Every module by name."""
    found = {}
    for file in directory.rglob("*.py"):
        parts = list(file.relative_to(directory).parts)
        parts[-1] = file.stem
        if all(part.isidentifier() for part in parts) and not NOT_OURS.intersection(parts[:-1]):
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


def add_up(modules: list[dict[str, Any]]) -> dict[str, Any]:
    """The sum of each figure."""
    figures = {figure: sum(module[figure] for module in modules) for figure in FIGURES}
    return {**figures, "coverage": coverage(figures)}


def main(directory: Path, limit: int | None) -> dict[str, Any]:
    """The whole report."""
    warnings.simplefilter("ignore")
    modules = {name: read(name, file) for name, file in sorted(modules_under(directory).items())[:limit]}
    packages: dict[str, list[dict[str, Any]]] = {}
    for name, module in modules.items():
        packages.setdefault(name.split(".")[0], []).append(module)
    return {
        "total": add_up(list(modules.values())),
        "packages": {name: add_up(members) for name, members in packages.items()},
        "importers": Counter(name for module in modules.values() for name in module["imports"]),
        "modules": modules,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)))
