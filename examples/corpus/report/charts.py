"""Plots as inline SVG. Colours and type come from the page's style sheet, so that they follow its light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 44, 20, 16, 40
BASE = HEIGHT - BOTTOM
BIN_EDGES = (0, 50, 100, 200, 500, 1000, 2000, 5000)


def histogram(lengths: Sequence[int]) -> str:
    """How many modules there are of each length."""
    counts = [sum(low <= length < high for length in lengths) for low, high in bins()]
    ticks = nice_ticks(max(counts))
    slot = (WIDTH - LEFT - RIGHT) / len(counts)
    marks = [grid_line(across(tick, ticks[-1]), f"{tick:,}") for tick in ticks]
    wide = slot - 10
    for position, (count, label) in enumerate(zip(counts, bin_labels(), strict=True)):
        x, y = LEFT + position * slot, across(count, ticks[-1])
        marks.append(f'<rect class="bar" x="{x + 5:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{BASE - y:.1f}" rx="2"/>')
        marks.append(text(x + slot / 2, y - 5, f"{count:,}", "value"))
        marks.append(text(x + slot / 2, BASE + 16, label, "tick"))
    return svg("Number of modules by length in lines", marks, "lines in a module")


def scatter(points: Sequence[tuple[str, int, float]]) -> str:
    """Length (on a logarithmic scale) against a share from 0 to 1; each point tells its name under the pointer."""
    longest = max((lines for _, lines, _ in points), default=1)
    decades = max(1, math.ceil(math.log10(max(longest, 1))))
    marks = [grid_line(across(tick, 100), f"{tick}%") for tick in (0, 25, 50, 75, 100)]
    marks += [text(along(10**power, decades), BASE + 16, short(10**power), "tick") for power in range(decades + 1)]
    for name, lines, share in points:
        x, y = along(lines, decades), across(share, 1)
        label = escape(f"{name}: {lines:,} lines, {share:.0%} documented")
        marks.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{label}</title></circle>')
    return svg("Docstring coverage against length in lines", marks, "lines in a package or single module")


def bins() -> list[tuple[float, float]]:
    """The ranges of length, each up to but without its end."""
    return list(zip(BIN_EDGES, [*BIN_EDGES[1:], math.inf], strict=True))


def bin_labels() -> list[str]:
    """What stands under each column."""
    closed = [f"{short(low)}\N{EN DASH}{short(high)}" for low, high in pairwise(BIN_EDGES)]
    return [*closed, f"{short(BIN_EDGES[-1])}+"]


def short(value: int) -> str:
    """A round number in few letters: 500, 1k, 20k."""
    return f"{value // 1000}k" if value >= 1000 else str(value)


def nice_ticks(largest: int) -> list[int]:
    """Round numbers from zero to at least the largest value, about five of them."""
    rough = max(largest, 1) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = max(1, math.ceil(next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)))
    return list(range(0, math.ceil(max(largest, 1) / step) * step + 1, step))


def across(value: float, largest: float) -> float:
    """The height on the page of a value on the upright axis."""
    return BASE - (BASE - TOP) * value / largest


def along(value: float, decades: int) -> float:
    """The place on the page of a value on a logarithmic axis that begins at 1."""
    return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(max(value, 1)) / decades


def grid_line(y: float, label: str) -> str:
    """A horizontal line with its value at the left."""
    line = f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
    return line + text(LEFT - 8, y + 4, label, "tick end")


def text(x: float, y: float, content: str, style: str) -> str:
    """A short text, centred unless the style says otherwise."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(content)}</text>'


def svg(title: str, marks: Sequence[str], axis: str) -> str:
    """The whole picture, with a title for those who cannot see it."""
    caption = text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, axis, "axis")
    inside = "\n".join([*marks, caption])
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">\n{inside}\n</svg>'
