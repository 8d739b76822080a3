"""The files of one installed distribution, as a unit: where each goes, and what is left at home.

What RECORD lists is shipped as it lies on the disk, patched or not; so is what lies in its packages and is in no RECORD
(something that it has downloaded or generated, or that a person has put there). Left at home are console scripts, which
are made anew, what is listed and not there, and ``direct_url.json``, which says nothing that a program needs and may
hold a password. Compiled modules go if an installer has noted them; those that imports have left behind differ from day
to day, and a worker makes its own.

Of a distribution that is installed in place the metadata goes, so that its version and entry points are known. Its code
travels as the user's own, and what hooked it in is of no use elsewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from stat import S_ISREG

from moil.deployment import bytecode, scripts
from moil.deployment.editables import Editable
from moil.deployment.listing import EXECUTABLE, FILE
from moil.deployment.metadata import Distribution
from moil.deployment.plan import Source, stamp_of
from moil.record import field, record

_AT_HOME = ("direct_url.json", "uv_cache.json", "uv_build.json")
_SITE = re.compile(r"^lib(?:64|32)?/python[\d.]+t?/(?:site|dist)-packages/")
_HEAD = 4096
_LARGEST_SCRIPT = 1 << 20

Owned = Callable[[str], bool]
"""Whether a path (relative to the site directory) is in anybody's RECORD."""


@record(kw_only=False, frozen=False)
class LookedAt:
    """What had a part in what was found, beside the files that were found."""

    #: Directories that were listed.
    folders: list[str] = field(default_factory=list)
    #: Files that should be there, and are not.
    absent: list[str] = field(default_factory=list)


def sources(
    distribution: Distribution, editable: Editable | None, *, owned: Owned, reason: str, looked_at: LookedAt | None = None
) -> list[Source]:
    """What is shipped of a distribution, in the order of the paths in the unit. `looked_at` is told what was."""
    seen = LookedAt() if looked_at is None else looked_at
    found = {one.path: one for one in _metadata(distribution, reason, seen.folders)}
    if distribution.record is None:
        listed = [] if distribution.link else list(_below_tops(distribution))
    else:
        listed = _recorded(distribution, editable.hooks if editable else ())
    site = distribution.site + os.sep
    for path in listed:
        if path.startswith(("../", "/")):
            one = _source(distribution, path, reason)
        else:
            one = _file(site + path, f"site/{path}", reason, _transform(path))
        if one is not None:
            found.setdefault(one.path, one)
        else:
            seen.absent.append(os.path.normpath(site + path))
    if distribution.record is not None:
        why = f"lies in {distribution.name}, and in no RECORD"
        for path in _unrecorded(distribution, owned, seen.folders):
            one = _file(site + path, f"site/{path}", why, _transform(path))
            if one is not None:
                found.setdefault(one.path, one)
    return [found[path] for path in sorted(found)]


def place(distribution: Distribution, path: str) -> str:
    """Where a file goes in the unit, by its path from the site directory; "" if it has no place there."""
    if not path.startswith(("../", "/")):
        return f"site/{path}"
    prefix, absolute = distribution.prefix, os.path.normpath(os.path.join(distribution.site, path))
    if not prefix or not absolute.startswith(prefix + os.sep):
        return ""
    below = absolute[len(prefix) + 1 :].replace(os.sep, "/")
    if below.startswith("bin/"):
        return below
    in_site = _SITE.match(below)
    return f"site/{below[in_site.end() :]}" if in_site else f"data/{below}"


def packages(record: Collection[str]) -> set[str]:
    """The directories of a RECORD that are packages, with all that lies below them."""
    inits = {path.rpartition("/")[0] for path in record if path.endswith("/__init__.py") and not path.startswith("../")}
    return {one for one in inits if not any(above in inits for above in _above(one))}


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _metadata(distribution: Distribution, reason: str, folders: list[str]) -> Iterator[Source]:
    base = distribution.metadata_name
    if os.path.isfile(distribution.metadata):
        names = [""]
    else:
        names = [f"/{name}" for name in _walk(distribution.metadata, "", folders) if name not in _AT_HOME]
    for name in names:
        one = _file(distribution.metadata + name, f"site/{base}{name}", reason, _transform(name))
        if one is not None:
            yield one


def _recorded(distribution: Distribution, hooks: Collection[str]) -> list[str]:
    base = os.path.basename(distribution.metadata) + "/"
    wanted = [path for path in distribution.record or () if path not in hooks and not path.startswith(base)]
    known = set(wanted)
    return [path for path in wanted if _is_wanted(path, known)]


def _is_wanted(path: str, known: Collection[str]) -> bool:
    """Of compiled modules those whose source is shipped too, and those that have none."""
    return not _is_cached(path) or bytecode.source_of(path) in known


def _is_cached(path: str) -> bool:
    return path.endswith(".pyc") and "__pycache__/" in path


def _below_tops(distribution: Distribution) -> Iterator[str]:
    site, tops = distribution.site, distribution.tops
    with os.scandir(site) as entries:
        for entry in entries:
            if entry.name.partition(".")[0] in tops and not entry.name.endswith((".dist-info", ".egg-info", ".pth")):
                if entry.is_dir():
                    yield from (f"{entry.name}/{path}" for path in _walk(entry.path, "", []))
                else:
                    yield entry.name


def _unrecorded(distribution: Distribution, owned: Owned, folders: list[str]) -> Iterator[str]:
    for package in packages(distribution.record or ()):
        for path in _walk(os.path.join(distribution.site, package), f"{package}/", folders):
            if not owned(path):
                yield path


def _walk(directory: str, prefix: str, folders: list[str], above: tuple[str, ...] = ()) -> Iterator[str]:
    """The files below a directory but those of ``__pycache__``; links are followed, though not in circles.

    `folders` gets the directories that were listed, or should have been.
    """
    folders.append(directory)
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
            if entry.name != "__pycache__" and real not in above and not _holds(real, directory):
                yield from _walk(entry.path, f"{prefix}{entry.name}/", folders, (*above, real))
        elif not entry.name.endswith(".pyc") or not os.path.isfile(entry.path[:-1]):
            yield prefix + entry.name


def _holds(outer: str, inner: str) -> bool:
    return f"{inner}/".startswith(f"{outer}/")


def _source(distribution: Distribution, path: str, reason: str) -> Source | None:
    where = place(distribution, path)
    if not where:
        return None
    if where.startswith("bin/") and (distribution.script_names & {where[4:], where[4:].removesuffix("-script.py")}):
        return None
    origin = os.path.normpath(os.path.join(distribution.site, path))
    if where.startswith("bin/"):
        return _script(origin, where, reason)
    return _file(origin, where, reason, _transform(origin))


def _transform(path: str) -> str:
    return "pyc" if path.endswith(".pyc") and bytecode.source_of(path) else ""


def _file(origin: str, where: str, reason: str, transform: str) -> Source | None:
    try:
        found = os.stat(origin)
    except OSError:
        return None
    mode = found.st_mode
    if not S_ISREG(mode):
        return None
    return Source(
        path=where,
        origin=origin,
        kind=EXECUTABLE if mode & 0o100 else FILE,
        size=found.st_size,
        reason=reason,
        transform=transform,
        stamp=stamp_of(found),
    )


def _script(origin: str, where: str, reason: str) -> Source | None:
    one = _file(origin, where, reason, _transform(origin))
    if one is None or one.size > _LARGEST_SCRIPT or not _has_python(origin):
        return one
    content = scripts.neutral(Path(origin).read_bytes())
    return Source(path=where, origin="", kind=EXECUTABLE, size=len(content), reason=reason, content=content)


def _has_python(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return scripts.is_python(file.read(_HEAD))
    except OSError:
        return False
