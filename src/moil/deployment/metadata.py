"""One installed distribution, as its metadata directory describes it. Nothing is read before it is asked for.

What files it has is what its RECORD says. Where there is none (Debian's packages, some of conda's, old egg-infos), the
names of its top-level modules are all that is known, and everything below them counts as its own.
"""

from __future__ import annotations

import importlib
import json
import os
import posixpath
import re
from collections.abc import Iterator
from csv import reader
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from moil.deployment import scripts

SUFFIXES = (".dist-info", ".egg-info", ".egg-link")
_CODE = (".py", ".so", ".pyd", ".pyc")
_NAME_AND_VERSION = re.compile(r"^(?P<name>.+?)-(?P<version>\d[^-]*)(-py[\d.]+.*)?$")
_FIRST = re.compile(r"^[^,\n]+", re.MULTILINE)
_FILE_OF_METADATA = ("METADATA", "PKG-INFO", "")


def canonical(name: str) -> str:
    """The name in the form in which names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, eq=False)
class Distribution:
    """One installed distribution. Two are the same if they are the same object."""

    #: In canonical form.
    name: str
    #: The directory on the import path that holds it.
    site: str
    #: Its ``.dist-info`` or ``.egg-info``: a directory, or a file.
    metadata: str
    #: The directory that an ``.egg-link`` names; "" without one.
    link: str = ""

    @cached_property
    def version(self) -> str:
        """Its version; "" if it does not say."""
        base = os.path.basename(self.metadata).removesuffix(".dist-info").removesuffix(".egg-info")
        found = _NAME_AND_VERSION.match(base)
        return found["version"] if found else self._header("Version")

    @cached_property
    def record(self) -> tuple[str, ...] | None:
        """Its files as paths from the site directory (some begin with ``..``); None if it has no RECORD."""
        text = self.text("RECORD")
        if text is None or self.link:
            return self._installed_files()
        if '"' in text:
            paths = [line.partition(",")[0] if '"' not in line else _quoted(line) for line in text.splitlines() if line]
        else:
            paths = _FIRST.findall(text)
        return tuple([posixpath.normpath(path) if path.startswith(".") else path for path in paths])

    @cached_property
    def tops(self) -> frozenset[str]:
        """The names that it puts at the top of the import system."""
        if self.link:
            return frozenset()
        if self.record is not None:
            return frozenset(filter(None, map(_top, self.record)))
        named = (self.text("top_level.txt") or "").split()
        return frozenset(name.partition("/")[0] for name in named) or frozenset(self._guessed())

    @cached_property
    def requires(self) -> tuple[str, ...]:
        """Its requirements, as written."""
        text = self.text("METADATA") if self.metadata.endswith(".dist-info") else None
        if text is not None:
            return tuple(_headers(text, "Requires-Dist"))
        installed = importlib.import_module("importlib.metadata").PathDistribution(Path(self.metadata))
        return tuple(installed.requires or ())

    @cached_property
    def script_names(self) -> frozenset[str]:
        """The console scripts of its entry points."""
        return frozenset(name for name, _, _ in scripts.entries(self.text("entry_points.txt") or ""))

    @cached_property
    def direct_url(self) -> dict[str, Any]:
        """Where it was installed from, if not from an index; {} if that is not known."""
        try:
            found = json.loads(self.text("direct_url.json") or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def metadata_name(self) -> str:
        """What its metadata is called in a site directory."""
        base = os.path.basename(self.metadata)
        return f"{os.path.basename(self.site).removesuffix('.egg')}.egg-info" if base == "EGG-INFO" else base

    @property
    def prefix(self) -> str:
        """The directory that has ``bin`` and ``lib``, if this lies where installers put things."""
        above = os.path.dirname(self.site)
        is_below_python = os.path.basename(above).startswith("python")
        return os.path.dirname(os.path.dirname(above)) if is_below_python else ""

    def text(self, name: str) -> str | None:
        """A file of its metadata; None if it is not there."""
        path = os.path.join(self.metadata, name) if name else self.metadata
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except OSError:
            return None

    def _header(self, name: str) -> str:
        texts = (self.text(file) for file in _FILE_OF_METADATA)
        return next((value for text in texts if text is not None for value in _headers(text, name)), "")

    def _installed_files(self) -> tuple[str, ...] | None:
        """What an old installer has noted, from the egg-info directory."""
        text = None if self.link else self.text("installed-files.txt")
        if text is None:
            return None
        base = os.path.basename(self.metadata)
        return tuple(posixpath.normpath(posixpath.join(base, line)) for line in text.splitlines() if line)

    def _guessed(self) -> Iterator[str]:
        """Names of modules that look like this distribution's name."""
        wanted = self.name.replace("-", "_")
        for name in entries_of(self.site):
            stem = name.partition(".")[0]
            if stem.lower() in (wanted, wanted.partition("_")[0]) and (name == stem or name.endswith(_CODE)):
                yield stem


def entries_of(directory: str) -> list[str]:
    """The names in a directory; none if it cannot be listed."""
    try:
        return os.listdir(directory)
    except OSError:
        return []


def split_name(entry: str) -> tuple[str, str]:
    """The canonical name in the name of a metadata directory, and its suffix; ("", "") if it is something else."""
    suffix = next((one for one in SUFFIXES if entry.endswith(one)), "")
    if not suffix or entry.startswith(("~", ".")):
        return "", ""
    stem = entry.removesuffix(suffix)
    found = _NAME_AND_VERSION.match(stem) if suffix != ".egg-link" else None
    return canonical(found["name"] if found else stem), suffix


def _quoted(line: str) -> str:
    return next(reader([line]))[0]


def _top(path: str) -> str:
    first, slash, _ = path.partition("/")
    if slash:
        is_none = first in ("..", "__pycache__", "") or first.endswith((".dist-info", ".egg-info", ".libs", ".data"))
        return "" if is_none else first
    return first.partition(".")[0] if first.endswith(_CODE) else ""


def _headers(text: str, name: str) -> Iterator[str]:
    start = f"{name}:"
    for line in text.splitlines():
        if not line:  # a line of spaces goes on with the header before it
            return
        if line.startswith(start):
            yield line.removeprefix(start).strip()
