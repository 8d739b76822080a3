"""What the user has said about what is shipped: ``.moilignore``, and `deploy-include` and `deploy-exclude`.

All speak gitignore's language. A ``.moilignore`` may lie in any directory of the project, and the innermost that has an
opinion wins; the two settings, whose patterns are relative to the directory of pyproject.toml, win over all of them, and
of these exclude wins over include, but for a file that include calls by its very name. What is excluded here is
excluded even if it is code: it was said to Moil, and to nobody else.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moil.deployment.tree import Tree, ancestors, inside, is_below
from moil.deployment.verdict import NAME, Verdict

if TYPE_CHECKING:
    from moil.deployment.patterns import IgnoreFile, Pattern


def _patterns() -> Any:
    return importlib.import_module("moil.deployment.patterns")


class Rules:
    """What was said, for the files below `base` and the roots."""

    def __init__(self, tree: Tree, base: str, include: Iterable[str], exclude: Iterable[str]) -> None:
        self._tree, self._base = tree, base
        self.include: list[Pattern] = [_patterns().Pattern.of(one.removeprefix(base)) for one in include]
        self._exclude: list[Pattern] = [_patterns().Pattern.of(one.removeprefix(base)) for one in exclude]
        self._tops = {base}
        self._chains: dict[str, tuple[IgnoreFile, ...]] = {}

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
            yield one.text, os.path.normpath(os.path.join(self._base, one.beginning if one.is_anchored else ""))

    def matches(self, text: str, path: str) -> bool:
        """Whether a pattern of include matches a path."""
        inner = self._inner(path)
        return any(one.text == text and one.matches(inner) for one in self.include)

    def _inner(self, path: str) -> str:
        return inside(self._base, path) if is_below(path, self._base) else os.path.basename(path)

    def _chain(self, directory: str) -> tuple[IgnoreFile, ...]:
        if directory not in self._chains:
            above = os.path.dirname(directory)
            outer = () if directory in self._tops or above == directory else self._chain(above)
            self._chains[directory] = (*outer, *self._own(directory))
        return self._chains[directory]

    def _own(self, directory: str) -> Iterator[IgnoreFile]:
        if self._tree.is_file(directory, NAME):
            with suppress(OSError):
                text = Path(directory, NAME).read_text(encoding="utf-8", errors="surrogateescape")
                yield _patterns().IgnoreFile.read(directory, text)


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
