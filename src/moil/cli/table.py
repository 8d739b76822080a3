"""Plain text in columns, for people and for `awk`: two blanks between columns, nothing after the last one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence


def columns(rows: Sequence[Sequence[str]], *, right: Collection[int] = (), indent: int = 0) -> Iterator[str]:
    """The rows as lines, cells of a column one below the other; the columns in `right` end at the same place."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield (" " * indent + "  ".join(cells)).rstrip()
