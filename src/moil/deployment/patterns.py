"""What is said in gitignore's language: a ``.moilignore``, and a pattern of `deploy-include` or `deploy-exclude`.

Most programs come without either, and the library that reads them takes a while to come up: it is brought in when there is
something to read.
"""

from __future__ import annotations

import os
import re

from pathspec import GitIgnoreSpec, RegexPattern

from moil.deployment.tree import inside
from moil.deployment.verdict import NAME, Verdict
from moil.record import record

_BELOW = "ps_d"
_ALL_BELOW = re.compile(r"/\*\*$")
_WILD = re.compile(r"[*?\[\\]")


@record(kw_only=False)
class IgnoreFile:
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
    def read(directory: str, text: str) -> IgnoreFile:
        """The one with this text, in this directory."""
        lines = [line.strip() or "#" for line in text.splitlines()]
        files = ["#" if line.endswith("/") else line for line in lines]
        directories = [_ALL_BELOW.sub("/**/*", line.rstrip("/") or "#") for line in lines]
        specs = [GitIgnoreSpec.from_lines(some) for some in (files, directories)]
        return IgnoreFile(directory, lines, *specs)

    def verdict(self, path: str, *, directory: bool) -> Verdict | None:
        """What its last line that speaks of a path says; None if none does."""
        inner = inside(self.directory, path)
        patterns = (self.of_directories if directory else self.of_files).patterns
        for line, pattern in zip(reversed(self.lines), reversed(patterns), strict=True):
            found = pattern.regex.match(inner) if isinstance(pattern, RegexPattern) and pattern.regex else None
            if pattern.include is not None and found and not found.groupdict().get(_BELOW):
                named = os.path.basename(line.lstrip("!").rstrip("/")) == os.path.basename(path)
                return Verdict(included=not pattern.include, rule=f"{self.directory}/{NAME} says {line!r}", named=named)
        return None


@record(kw_only=False)
class Pattern:
    """One pattern of the settings."""

    text: str
    spec: GitIgnoreSpec

    @staticmethod
    def of(text: str) -> Pattern:
        """The one with this text."""
        return Pattern(text, GitIgnoreSpec.from_lines([text]))

    def matches(self, path: str) -> bool:
        """Whether it is about a path, relative to the base; that of a directory ends in a slash."""
        return self.spec.check_file(path).include is True

    def names(self, path: str) -> bool:
        """Whether it calls a path by its very name."""
        name = os.path.basename(self.text.rstrip("/"))
        return not _WILD.search(name) and name == os.path.basename(path.rstrip("/")) and self.matches(path)

    @property
    def is_anchored(self) -> bool:
        """Whether it says where what it is about lies."""
        return "/" in self.text.strip("/") or not _WILD.search(self.text)

    @property
    def beginning(self) -> str:
        """The directories (or the whole path) that it begins with, up to the first that is not written out."""
        parts: list[str] = []
        for part in self.text.strip("/").split("/"):
            if _WILD.search(part):
                break
            parts.append(part)
        return "/".join(parts)
