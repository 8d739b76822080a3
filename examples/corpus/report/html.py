"""The report as one web page that needs nothing else: style and plots are inside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from index import Index
from parsing import Counts, Module
from report.charts import histogram, scatter

ROWS = 15


def to_html(title: str, index: Index) -> str:
    """The whole page."""
    return Template(resource("page.html")).substitute(
        title=escape(title),
        style=resource("style.css"),
        tiles=tiles(index.total),
        sizes=histogram([module.counts.lines for module in index.modules]),
        documentation=scatter(documentation(index)),
        imported=imported_table(index.most_imported(ROWS), index.total.modules),
        biggest=biggest_table(index.biggest(ROWS)),
        packages=packages_table(index.big_packages(ROWS * 2)),
        unparsable=unparsable_section(index.unparsable()),
    )


def resource(name: str) -> str:
    """The text of a file that lies beside this module, wherever the package is installed."""
    return files("report").joinpath(name).read_text(encoding="utf-8")


def tiles(total: Counts) -> str:
    """The headline figures."""
    figures = {
        "modules": f"{total.modules:,}",
        "lines": f"{total.lines:,}",
        "lines of code": f"{total.code_lines:,}",
        "functions": f"{total.functions:,}",
        "classes": f"{total.classes:,}",
        "docstring coverage": f"{total.coverage:.1%}",
    }
    return "\n".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in figures.items())


def documentation(index: Index) -> list[tuple[str, int, float]]:
    """Name, lines and docstring coverage of each package or single module that has code."""
    measured = sorted(index.packages.items())
    return [(name, counts.lines, counts.coverage) for name, counts in measured if counts.code_lines]


def imported_table(rows: Sequence[tuple[str, int]], modules: int) -> str:
    """Who is imported by how many."""
    return table(
        ["module", "importers", "share of modules"],
        ([name_cell(name), number(count), meter(count / max(modules, 1))] for name, count in rows),
    )


def biggest_table(modules: Sequence[Module]) -> str:
    """The longest modules."""
    return table(
        ["module", "lines", "functions", "classes", "documented"],
        ([name_cell(module.name), *main_figures(module.counts)] for module in modules),
    )


def packages_table(packages: Sequence[tuple[str, Counts]]) -> str:
    """The largest packages and how well they are documented."""
    return table(
        ["package", "modules", "lines", "functions", "classes", "docstring coverage"],
        (
            [name_cell(name), number(counts.modules), *main_figures(counts)[:-1], meter(counts.coverage)]
            for name, counts in packages
        ),
    )


def main_figures(counts: Counts) -> list[str]:
    """The cells that modules and packages have in common."""
    return [number(counts.lines), number(counts.functions), number(counts.classes), number(f"{counts.coverage:.0%}")]


def unparsable_section(modules: Sequence[Module]) -> str:
    """The modules that Python cannot parse, with the reason; nothing if there are none."""
    if not modules:
        return ""
    rows = ([name_cell(module.name), f"<td>{escape(module.problem)}</td>"] for module in modules)
    return f'<section class="card wide unparsable"><h2>Not parsable</h2>{table(["module", "why"], rows)}</section>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of finished cells."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def name_cell(name: str) -> str:
    """A row's heading."""
    return f'<th scope="row">{escape(name)}</th>'


def number(value: int | str) -> str:
    """A cell that is flush right."""
    return f'<td class="number">{value if isinstance(value, str) else f"{value:,}"}</td>'


def meter(share: float) -> str:
    """A cell with a bar from 0 to 100 % and the figure beside it."""
    return f'<td class="meter"><i style="--share:{share:.3f}"></i><span>{share:.0%}</span></td>'
