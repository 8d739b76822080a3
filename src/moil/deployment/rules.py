"""What the user has said about what is shipped: ``.moilignore``, and `deploy-include` and `deploy-exclude`.

All speak gitignore's language. A ``.moilignore`` may lie in any directory of the project, and the innermost that has an
opinion wins; the two settings, whose patterns are relative to the directory of pyproject.toml, win over all of them, and
of these exclude wins over include, but for a file that include calls by its very name. What is excluded here is
excluded even if it is code: it was said to Moil, and to nobody else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pathspec import GitIgnoreSpec, RegexPattern

from moil.core.record import record
from moil.deployment.tree import Tree, ancestors, inside, is_below

NAME = ".moilignore"
_BELOW = "ps_d"
_ALL_BELOW = re.compile(r"/\*\*$")
_WILD = re.compile(r"[*?\[\\]")


@record(kw_only=False)
class Verdict:
    """An opinion on a path. `named`: it was called by its very name, so it is meant even if it looks like a secret."""

    included: bool
    rule: str
    named: bool = False


@record(kw_only=False)
class _File:
    """One .moilignore.

    The library does not tell a file from a directory, so there is a version of the lines for each: one without those
    that are for directories only, and one in which these are for anything, and `X/**`, which is not X, is `X/**/*`. And it
    takes what is below a match for a match, by a group of its expressions; but that is for the walk to decide.
    """

    directory: str
    lines: list[str]
    of_files: GitIgnoreSpec
    of_directories: GitIgnoreSpec

    @staticmethod
    def read(directory: str, text: str) -> _File:
        lines = [line.strip() or "#" for line in text.splitlines()]
        files = ["#" if line.endswith("/") else line for line in lines]
        directories = [_ALL_BELOW.sub("/**/*", line.rstrip("/") or "#") for line in lines]
        specs = [GitIgnoreSpec.from_lines(some) for some in (files, directories)]
        return _File(directory, lines, *specs)

    def verdict(self, path: str, *, directory: bool) -> Verdict | None:
        inner = inside(self.directory, path)
        patterns = (self.of_directories if directory else self.of_files).patterns
        for line, pattern in zip(reversed(self.lines), reversed(patterns), strict=True):
            found = pattern.regex.match(inner) if isinstance(pattern, RegexPattern) and pattern.regex else None
            if pattern.include is not None and found and not found.groupdict().get(_BELOW):
                named = os.path.basename(line.lstrip("!").rstrip("/")) == os.path.basename(path)
                return Verdict(included=not pattern.include, rule=f"{self.directory}/{NAME} says {line!r}", named=named)
        return None


@record(kw_only=False)
class _Pattern:
    text: str
    spec: GitIgnoreSpec

    @staticmethod
    def of(text: str) -> _Pattern:
        return _Pattern(text, GitIgnoreSpec.from_lines([text]))

    def matches(self, path: str) -> bool:
        return self.spec.check_file(path).include is True

    def names(self, path: str) -> bool:
        name = os.path.basename(self.text.rstrip("/"))
        return not _WILD.search(name) and name == os.path.basename(path.rstrip("/")) and self.matches(path)

    @property
    def beginning(self) -> str:
        """The directories (or the whole path) that it begins with, up to the first that is not written out."""
        parts: list[str] = []
        for part in self.text.strip("/").split("/"):
            if _WILD.search(part):
                break
            parts.append(part)
        return "/".join(parts)


class Rules:
    """What was said, for the files below `base` and the roots."""

    def __init__(self, tree: Tree, base: str, include: Iterable[str], exclude: Iterable[str]) -> None:
        self._tree, self._base = tree, base
        self.include = [_Pattern.of(one.removeprefix(base)) for one in include]
        self._exclude = [_Pattern.of(one.removeprefix(base)) for one in exclude]
        self._tops = {base}
        self._chains: dict[str, tuple[_File, ...]] = {}

    def begin_at(self, tops: Iterable[str]) -> None:
        """Look for .moilignore no further up than these directories."""
        self._tops |= {one for one in tops if not is_below(one, self._base)}

    def verdict(self, path: str, *, directory: bool = False) -> Verdict | None:
        """What was said about a path; None if nothing was."""
        if self.include or self._exclude:
            found = self._said(self._inner(path) + ("/" if directory else ""))
            if found:
                return found
        for one in reversed(self._chain(os.path.dirname(path))):
            found = one.verdict(path, directory=directory)
            if found is not None:
                return found
        return None

    def _said(self, inner: str) -> Verdict | None:
        for one in self.include:
            if one.names(inner):
                return Verdict(included=True, rule=f"include: {one.text}", named=True)
        for one in self._exclude:
            if one.matches(inner):
                return Verdict(included=False, rule=f"deploy-exclude says {one.text!r}")
        for one in self.include:
            if one.matches(inner):
                return Verdict(included=True, rule=f"include: {one.text}")
        return None

    def speaks_of(self, directory: str, *, also_above: bool = False) -> bool:
        """Whether include names something in this directory, so that it must be looked into; or what it lies in."""
        return any(is_below(one, directory) or (also_above and is_below(directory, one)) for one in self._beginnings())

    def _beginnings(self) -> Iterator[str]:
        for one in self.include:
            if one.beginning:
                yield os.path.normpath(os.path.join(self._base, one.beginning))

    def places(self) -> Iterator[tuple[str, str]]:
        """Every pattern of include, and the path below which all lies that it can match."""
        for one in self.include:
            is_anchored = "/" in one.text.strip("/") or not _WILD.search(one.text)
            yield one.text, os.path.normpath(os.path.join(self._base, one.beginning if is_anchored else ""))

    def matches(self, text: str, path: str) -> bool:
        """Whether a pattern of include matches a path."""
        inner = self._inner(path)
        return any(one.text == text and one.matches(inner) for one in self.include)

    def _inner(self, path: str) -> str:
        return inside(self._base, path) if is_below(path, self._base) else os.path.basename(path)

    def _chain(self, directory: str) -> tuple[_File, ...]:
        if directory not in self._chains:
            above = os.path.dirname(directory)
            outer = () if directory in self._tops or above == directory else self._chain(above)
            self._chains[directory] = (*outer, *self._own(directory))
        return self._chains[directory]

    def _own(self, directory: str) -> Iterator[_File]:
        if self._tree.is_file(directory, NAME):
            with suppress(OSError):
                yield _File.read(directory, Path(directory, NAME).read_text(encoding="utf-8", errors="surrogateescape"))


def base_of(project: Path | None, origin: str) -> str:
    """The directory that patterns are relative to: the project's, which is the nearest above that has a pyproject.toml."""
    if project:
        return os.path.abspath(project)
    for place in ancestors(origin) if origin else ():
        if os.path.isfile(os.path.join(place, "pyproject.toml")):
            return place
    return origin or os.getcwd()


def is_in_any(path: str, places: frozenset[str]) -> bool:
    """Whether a path is one of these places, or lies in one."""
    return bool(places) and any(above in places for above in ancestors(path))
