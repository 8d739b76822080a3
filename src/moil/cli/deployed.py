"""``moil deploy show``, ``diff`` and ``export``: the code that a run was started with, out of its job store."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from moil.cli.parsing import print_json, reading_parser, store_parser
from moil.cli.reading import open_store
from moil.cli.table import columns
from moil.core.requirements import format_size
from moil.deployment import manifest, pack, pins, signing
from moil.deployment.extract import extract
from moil.deployment.listing import LINK, Item, Listing, decode
from moil.deployment.manifest import Deployment, Unit
from moil.errors import UsageError
from moil.ports.job_store import DurableStore
from moil.record import record

LONGEST = 1_000_000
"""Bytes up to which two versions of a text file are compared line by line."""


@record
class Pinned:
    """A deployment that a run has pinned."""

    store: DurableStore
    name: str
    pin: pins.Pin
    deployment: Deployment

    def listing(self, unit: Unit) -> Listing:
        """What a unit consists of."""
        return decode(self.store.get(pack.listing_key(unit.digest)), unit.digest)

    def files(self) -> dict[str, Item]:
        """The user's own files, by ``<root>/<path>``, or by path where there is one root."""
        roots = self.deployment.roots
        return {
            (f"{number}/{item.path}" if len(roots) > 1 else item.path): item
            for number, root in enumerate(roots)
            for unit in root.units
            for item in self.listing(unit).items
        }


def pinned(locator: str) -> list[Pinned]:
    """All that the run has pinned, oldest first. Raises UsageError if its code was never shipped."""
    store = open_store(locator)
    names = pins.names(store)
    if not names:
        raise UsageError(f"the run in {locator} has shipped no code: it ran on its leader's machine")
    key = signing.read_key(store)
    found = []
    for name in names:
        pin = pins.read(store, key, name)
        if pin.in_place is None:
            data = store.get(f"deploy/deployments/{pin.deployment}")
            found.append(Pinned(store=store, name=name, pin=pin, deployment=manifest.decode(data, pin.deployment)))
    if not found:
        raise UsageError(f"the run in {locator} read its code where it lay (--deploy live or off), so none is kept")
    return found


# -- show --------------------------------------------------------------------------------------------------------------


def show(words: Sequence[str]) -> int:
    """``moil deploy show STORE``."""
    parser = reading_parser("deploy show", "What the run's workers run: code, environment, Python.")
    parser.prog = "moil deploy show"
    parser.add_argument("--files", action="store_true", help="list the user's own files too")
    given = parser.parse_args(words)
    last = pinned(given.store)[-1]
    if given.json:
        print_json(_as_json(last))
    else:
        print("\n".join(_told(last, files=given.files)))
    return 0


def _told(one: Pinned, *, files: bool) -> Iterator[str]:
    deployment = one.deployment
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.pin.at))
    yield f"deployment {deployment.digest[:12]}, pinned {when}"
    yield f"runs {_entry(deployment)} under Python {deployment.python}"
    if deployment.native.machine:
        native = deployment.native
        yield f"native code for {native.system} {native.machine}{f', glibc {native.libc}' if native.libc else ''}"
    for number, root in enumerate(deployment.roots):
        yield f"root {number}{' (behind the site directory)' if root.after_site else ''}:"
        yield from columns([(f"  {unit.name}", format_size(unit.size), unit.digest[:12]) for unit in root.units])
    if deployment.distributions:
        yield f"environment, {len(deployment.distributions)} distributions:"
        late = {one.unit.name for one in deployment.on_demand}
        yield from columns(
            [
                (f"  {unit.name}", unit.version, format_size(unit.size), "on demand" if unit.name in late else "")
                for unit in deployment.distributions
            ]
        )
    if files:
        yield "files:"
        yield from columns([(f"  {path}", format_size(item.size)) for path, item in sorted(one.files().items())])


def _entry(deployment: Deployment) -> str:
    entry = deployment.entry
    return f"-m {entry.module}" if entry.module else entry.script or "code that travels by value"


def _as_json(one: Pinned) -> dict[str, Any]:
    deployment = one.deployment
    return {
        "deployment": deployment.digest,
        "pinned_at": one.pin.at,
        "entry": _entry(deployment),
        "python": deployment.python,
        "roots": [[_unit(unit) for unit in root.units] for root in deployment.roots],
        "environment": [_unit(unit) for unit in deployment.distributions],
        "on_demand": [one.unit.name for one in deployment.on_demand],
        "files": {path: {"sha256": item.content, "size": item.size} for path, item in sorted(one.files().items())},
    }


def _unit(unit: Unit) -> dict[str, Any]:
    return {"name": unit.name, "version": unit.version, "digest": unit.digest, "size": unit.size}


# -- diff --------------------------------------------------------------------------------------------------------------


def diff(words: Sequence[str]) -> int:
    """``moil deploy diff STORE [OTHER]``; 1 if there are differences."""
    parser = store_parser(
        "deploy diff",
        "Compare the code of a run with that of another run, or with a directory as it is now. Without OTHER: what the last "
        "restart changed. Exit status 1 if there are differences.",
    )
    parser.prog = "moil deploy diff"
    parser.add_argument("other", metavar="OTHER", nargs="?", help="a job store, or the directory of the project")
    given = parser.parse_args(words)
    found = pinned(given.store)
    with tempfile.TemporaryDirectory(prefix="moil-diff-") as folder:
        old, new = Path(folder, "old"), Path(folder, "new")
        if given.other is None:
            if len(found) < 2:
                raise UsageError(f"the run in {given.store} was not restarted with other code; say what to compare it with")
            before, after = _written(found[-2], old), _written(found[-1], new)
        elif Path(given.other, "format").exists() or "://" in given.other:
            before, after = _written(found[-1], old), _written(pinned(given.other)[-1], new)
        elif Path(given.other).is_dir():
            before = _written(found[-1], old)
            after = {path: Path(given.other, path) for path in before if Path(given.other, path).is_file()}
        else:
            raise UsageError(f"{given.other} is neither a job store nor a directory")
        lines = list(_differences(before, after))
    print("\n".join(lines) or "no differences")
    return 1 if lines else 0


def _written(one: Pinned, folder: Path) -> dict[str, Path]:
    """The user's own files, on the disk."""
    export_code(one, folder)
    several = len(one.deployment.roots) > 1
    return {
        path.relative_to(folder if several else folder / "0").as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _differences(before: Mapping[str, Path], after: Mapping[str, Path]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            yield f"{'only in the second' if old is None else 'only in the first'}: {name}"
        elif old.read_bytes() != new.read_bytes():
            yield from _lines(name, old, new)


def _lines(name: str, old: Path, new: Path) -> Iterator[str]:
    first, second = _text(old), _text(new)
    if first is None or second is None:
        yield f"differs: {name}"
    else:
        yield from difflib.unified_diff(first, second, f"first/{name}", f"second/{name}", lineterm="")


def _text(path: Path) -> list[str] | None:
    """Its lines; None if it is no text, or too much of it."""
    if path.stat().st_size > LONGEST:
        return None
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return None


# -- export ------------------------------------------------------------------------------------------------------------


def export(words: Sequence[str]) -> int:
    """``moil deploy export STORE DIRECTORY``."""
    parser = store_parser("deploy export", "Write the code that ran into a new directory, a directory for each root.")
    parser.prog = "moil deploy export"
    parser.add_argument("directory", metavar="DIRECTORY", help="must not exist, or be empty")
    parser.add_argument("--environment", action="store_true", help="the installed distributions too, below environment/")
    given = parser.parse_args(words)
    target = Path(given.directory)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not empty; name a new directory")
    last = pinned(given.store)[-1]
    try:
        export_code(last, target)
        for unit in last.deployment.distributions if given.environment else ():
            _put(last, unit, target / "environment")
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}; name another directory") from error
    print(target)
    return 0


def export_code(one: Pinned, target: Path) -> None:
    """The user's own files, root by root."""
    target.mkdir(parents=True, exist_ok=True)
    for number, root in enumerate(one.deployment.roots):
        for unit in root.units:
            _put(one, unit, target / str(number))


def _put(one: Pinned, unit: Unit, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="moil-export-", dir=target.parent) as folder:
        listing = one.listing(unit)
        extract(unit.digest, listing, one.store, Path(folder))
        for item in listing.items:
            place = target / item.path
            place.parent.mkdir(parents=True, exist_ok=True)
            if item.kind == LINK:
                os.symlink(item.content, place)
            elif item.is_file:
                shutil.move(Path(folder, "unit", item.path), place)
                place.chmod(place.stat().st_mode | 0o200)
            else:
                place.mkdir(exist_ok=True)
