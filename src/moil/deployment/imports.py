"""The import statements of a source file, found at the speed of a search and not of a parser.

What is found is checked against the disk later, so to find too much (in a docstring, under TYPE_CHECKING, in a branch
that is never taken) costs nothing, while to miss one would. So nothing is parsed: whatever looks like the beginning of
an import statement is one, wherever it stands, also in a file that no Python of ours could parse. Calls of
`import_module` and `__import__` with a literal name count as well.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from moil.record import record

_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_GAP = r"(?:[ \t\f]|\\\r?\n)"
_DOTTED = rf"\w+(?:{_GAP}*\.{_GAP}*\w+)*"
_STATEMENT = re.compile(
    rf"(?:^|[;:])[ \t\f]*(?:"
    rf"from\b{_GAP}*(?P<base>[.\s\\]*(?:{_DOTTED})?){_GAP}*\bimport\b{_GAP}*(?:\((?P<many>[^)]*)\)?|(?P<few>(?:[^\n\\;#]|\\\r?\n)*))"
    rf"|import\b{_GAP}+(?P<plain>(?:[^\n\\;#]|\\\r?\n)*))"
    rf"|\b(?:import_module|__import__)\s*\(\s*[rRuUbB]?(?P<quote>['\"])(?P<called>[\w.]+)(?P=quote)",
    re.MULTILINE,
)
_BEGINNING = re.compile(r"(?:^|[;:])[ \t\f]*(?:from|import)\b|import_module|__import__", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")
_NAME = re.compile(r"\w+(?:\.\w+)*")
_BLANKS = re.compile(r"[\s\\]+")
_AROUND_DOTS = re.compile(r"\s*\.\s*")


@record(kw_only=False)
class Import:
    """One statement: ``import module``, or ``from <level dots>module import names``."""

    line: int
    module: str
    level: int = 0
    #: What is taken from the module; () if it is imported itself.
    names: tuple[str, ...] = ()


def scan(source: bytes) -> list[Import] | None:
    """All import statements of a source, and perhaps more. None if it cannot be text in its encoding."""
    text = _text(source)
    if text is None:
        return None
    found: list[Import] = []
    line, before = 1, 0
    for match in _matches(text):
        line += text.count("\n", before, match.start())
        before = match.start()
        found += _imports(match, line)
    return found


def _matches(text: str) -> Iterator[re.Match[str]]:
    """All matches of `_STATEMENT`, tried only where the word stands that each of them has."""
    position = 0
    while (word := text.find("import", position)) >= 0:
        start, end = max(_logical_line(text, word), position), text.find("\n", word)
        end = len(text) if end < 0 else end
        match = _STATEMENT.search(text, start) if _BEGINNING.search(text, start, end) else None
        if match is None:
            position = end
        else:
            yield match
            position = match.end()


def _logical_line(text: str, position: int) -> int:
    """Where the line begins that a position lies in, with the lines that it continues."""
    start = text.rfind("\n", 0, position) + 1
    while start > 1 and text[start - 2] == "\\":
        start = text.rfind("\n", 0, start - 1) + 1
    return start


def _text(source: bytes) -> str | None:
    if b"\0" in source:
        return None
    found = next(filter(None, map(_COOKIE.match, source.removeprefix(b"\xef\xbb\xbf").split(b"\n", 2)[:2])), None)
    try:
        text = source.decode(found[1].decode() if found else "utf-8")
    except (UnicodeDecodeError, LookupError):
        return None
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _imports(match: re.Match[str], line: int) -> Iterator[Import]:
    if match["called"]:
        name = match["called"]
        level = len(name) - len(name.lstrip("."))
        yield Import(line, name.strip("."), level)
    elif match["plain"] is not None:
        for name in _names(match["plain"]):
            yield Import(line, name)
    else:
        base = _BLANKS.sub("", match["base"])
        level = len(base) - len(base.lstrip("."))
        taken = match["many"] if match["many"] is not None else match["few"]
        names = tuple(_names(_COMMENT.sub("", taken or "")))
        if base:
            yield Import(line, base.lstrip("."), level, names or ("*",))


def _names(text: str) -> Iterator[str]:
    for part in _BLANKS.sub(" ", text).split(","):
        found = _NAME.match(_AROUND_DOTS.sub(".", part.strip()))
        if found:
            yield found[0]
