"""The door through which files come from and go to the outside world: one small class for each scheme.

``http(s)`` is here; object stores come in through `register`. `urllib` is imported when it is needed: it costs as much
as the rest of the package together.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Protocol

from moil.errors import FileError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
TIMEOUT = 60.0


class Transfer(Protocol):
    """Moves bytes between a URL of some scheme and a local file. Both methods raise FileError."""

    def fetch(self, url: str, to: Path) -> None:
        """Download to a new file."""
        ...

    def send(self, path: Path, url: str) -> None:
        """Upload."""
        ...


class Http:
    """GET and PUT, streamed."""

    def fetch(self, url: str, to: Path) -> None:
        """Download to a new file."""
        from http.client import HTTPException
        from urllib.error import URLError
        from urllib.request import urlopen

        try:
            with urlopen(url, timeout=TIMEOUT) as answer, to.open("xb") as target:
                importlib.import_module("shutil").copyfileobj(answer, target, 1 << 20)
                expected = answer.headers.get("Content-Length")
            if expected is not None and to.stat().st_size != int(expected):
                raise FileError(f"cannot import {url}: {to.stat().st_size} of {expected} bytes came; try again")
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise FileError(f"cannot import {url}: {getattr(error, 'reason', error)}") from error

    def send(self, path: Path, url: str) -> None:
        """Upload by PUT."""
        from http.client import HTTPException
        from urllib.error import URLError
        from urllib.request import Request, urlopen

        if path.is_dir():
            raise FileError(f"cannot export {path.name} to {url}: it is a directory; export its files one by one")
        try:
            with path.open("rb") as source:
                headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "application/octet-stream"}
                with urlopen(Request(url, data=source, method="PUT", headers=headers), timeout=TIMEOUT):
                    pass
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise FileError(f"cannot export {path.name} to {url}: {getattr(error, 'reason', error)}") from error


_transfers: dict[str, Transfer] = {"http": Http(), "https": Http()}


def register(scheme: str, transfer: Transfer) -> None:
    """Let `transfer` handle URLs of this scheme."""
    _transfers[scheme] = transfer


def scheme_of(url: str) -> str | None:
    """The scheme of a URL, or None for a plain path."""
    found = _SCHEME.match(url)
    return found.group(1).lower() if found else None


def local_path(url: str) -> Path | None:
    """The path that a plain path or a ``file:`` URL names, or None if it names something elsewhere."""
    scheme = scheme_of(url)
    if scheme is None or (scheme not in _transfers and scheme != "file" and "://" not in url):
        return Path(os.path.abspath(url))
    if scheme != "file":
        return None
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise FileError(f"{url}: a file: URL names a file of this machine; write file:///path")
    return Path(os.path.abspath(unquote(parts.path)))


def base_name(url: str) -> str:
    """The last part of the URL's path."""
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or "index"


def fetch(url: str, to: Path) -> None:
    """Download to a new local file. Raises FileError."""
    _transfer(url).fetch(url, to)


def send(path: Path, url: str) -> None:
    """Upload a local file. Raises FileError."""
    _transfer(url).send(path, url)


def _transfer(url: str) -> Transfer:
    scheme = scheme_of(url) or ""
    if scheme not in _transfers:
        known = ", ".join(sorted([*_transfers, "file"]))
        raise FileError(f"{url}: no way to reach {scheme}: URLs; known are {known}")
    return _transfers[scheme]
