"""Write the report of an index: a web page, the same as JSON, and a headline for the terminal."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from index import Index
from parsing import Counts
from report.html import to_html

__all__ = ["headline", "to_html", "to_json"]


def headline(title: str, index: Index) -> str:
    """The most important figures as a table of plain text."""
    total = index.total
    figures = [
        ("modules", f"{total.modules:,}"),
        ("lines", f"{total.lines:,}"),
        ("lines of code", f"{total.code_lines:,}"),
        ("functions", f"{total.functions:,}"),
        ("classes", f"{total.classes:,}"),
        ("docstring coverage", f"{total.coverage:.1%}"),
        ("not parsable", f"{total.unparsable:,}"),
    ]
    imported = [(name, f"{importers:,}") for name, importers in index.most_imported(10)]
    return "\n".join([title, "", *aligned(figures), "", "most imported, by how many modules", "", *aligned(imported)])


def aligned(rows: list[tuple[str, str]]) -> list[str]:
    """Lines of two columns: the left one flush left, the right one flush right."""
    left = max((len(name) for name, _ in rows), default=0)
    right = max((len(value) for _, value in rows), default=0)
    return [f"  {name:<{max(left, 18)}}  {value:>{max(right, 7)}}" for name, value in rows]


def to_json(title: str, index: Index) -> str:
    """All figures, those of each package and each module too."""
    document = {
        "title": title,
        "total": figures_of(index.total),
        "packages": {name: figures_of(counts) for name, counts in sorted(index.packages.items())},
        "importers": dict(sorted(index.importers.items())),
        "modules": {
            module.name: figures_of(module.counts) | {"imports": list(module.imports), "problem": module.problem}
            for module in index.modules
        },
    }
    return json.dumps(document, indent=1) + "\n"


def figures_of(counts: Counts) -> dict[str, Any]:
    """The figures by name, with docstring coverage worked out."""
    return asdict(counts) | {"coverage": round(counts.coverage, 6)}
