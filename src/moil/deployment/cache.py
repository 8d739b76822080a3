"""A machine's cache: where units lie that workers of this machine have fetched, and who may remove them.

    <cache>/              0700, the user's own, on a disk of this machine
      units/<digest>/     exactly what the unit's listing says, files read-only
      marks/<digest>      JSON: the unit is whole, as of which boot; its time is when it was last asked for
      locks/<name>        never removed: a lock that is removed while somebody waits for it is two locks
      engine/, views/     see `moil.deployment.launcher` and `moil.deployment.view`
      failures/           what went wrong here a moment ago
      fetched             a line for every unit that was fetched, for people and tests
      tmp/                what is being written

Several workers may want a unit at once. Two locks see to that. Whoever uses a thing holds the shared lock of its name, for
as long as its job takes, and what is so held is not evicted. Whoever makes it holds the exclusive lock ``<name>.making``
meanwhile; the others wait for that, and find it there. (One lock for both would have the second of two workers that start
together wait until the first one's job is over.) Locks are `flock`s, so they end with their process, however it ends.

Nothing is flushed to the disk. A power loss can leave a unit damaged that was marked as whole; so a mark counts only
for the boot in which it was written, and after another boot the unit is verified again, which is much cheaper than to
flush fifteen thousand files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from moil.deployment import pack
from moil.deployment.extract import extract, is_intact, remove_tree
from moil.deployment.file_systems import NETWORK, file_system
from moil.deployment.listing import Listing, decode
from moil.deployment.manifest import Unit
from moil.errors import DeploymentError, FileError, MoilError
from moil.ports.job_store import JobStore
from moil.record import record

LARGEST = 20 * 1000**3
SHARE = 0.1
"""The cache takes so many bytes, or so much of the disk, whichever is less."""
ABANDONED = 24 * 3600.0
"""Seconds after which what nobody has finished writing is removed."""
REMEMBERED = 30.0
"""Seconds for which a failure is not tried again on this machine."""
THREADS = 4
_FULL = (errno.ENOSPC, errno.EDQUOT)


@record(kw_only=False, frozen=False)
class Lease:
    """A lock on something that is in use, until it is closed or its process ends."""

    descriptor: int

    def close(self) -> None:
        """Let go."""
        os.close(self.descriptor)


class Cache:
    """The cache of this machine. Raises DeploymentError if the directory cannot be trusted or written."""

    def __init__(self, home: Path, *, limit: int | None = None, force: bool = False) -> None:
        self.home = home
        try:
            make_private(home)
            if not force:
                _check_local(home)
            for part in ("units", "marks", "locks", "views", "failures", "tmp"):
                (home / part).mkdir(exist_ok=True)
            space = shutil.disk_usage(home)
        except OSError as error:
            raise DeploymentError(
                f"the worker's cache {home} cannot be used: {error.strerror}; choose another with --worker-cache"
            ) from error
        self._sweep()
        self.limit = limit if limit is not None else min(LARGEST, int(space.total * SHARE))
        self._boot = boot_id()

    def _sweep(self) -> None:
        """Remove what was being written by processes that were killed."""
        for left in (self.home / "tmp").iterdir():
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_ctime > ABANDONED:
                    remove_tree(left) if left.is_dir() else left.unlink()
        self.forget_ways()

    @property
    def views(self) -> Path:
        """Where environment views lie."""
        return self.home / "views"

    def directory(self, unit: Unit) -> Path:
        """Where the unit is, once `ensure` has returned."""
        return self.home / "units" / unit.digest

    def lock(self, name: str, *, shared: bool = False, wait: bool = True) -> Lease | None:
        """A lock of this machine; None if somebody has it and we do not want to wait."""
        descriptor = os.open(self.home / "locks" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return Lease(descriptor)

    def keep(self, name: str) -> Lease:
        """Keep others from removing what has this name, whether it is there yet or not."""
        lease = self.lock(name, shared=True)
        assert lease is not None
        return lease

    @contextmanager
    def making(self, name: str) -> Iterator[None]:
        """Inside the block nobody else on this machine makes the same; they wait, and find it there."""
        lease = self.lock(f"{name}.making")
        assert lease is not None
        try:
            yield
        finally:
            lease.close()

    def ensure(self, unit: Unit, store: JobStore) -> Lease:
        """Have the unit here, and keep it. Raises DamagedError, DeploymentError, StoreError."""
        lease = self.keep(unit.digest)
        try:
            if not self._is_whole(unit.digest):
                with self.making(unit.digest):
                    if not self._is_whole(unit.digest):
                        self._fetch(unit, store)
        except BaseException:
            lease.close()
            raise
        return lease

    def ensure_all(self, units: Iterable[Unit], store: JobStore) -> list[Lease]:
        """The same for many, several at a time: hashing, inflating and writing is what threads do side by side."""
        largest_first = sorted(units, key=lambda unit: unit.size, reverse=True)
        threads = importlib.import_module("concurrent.futures")  # where all is here already nobody waits for it
        with threads.ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
            return list(pool.map(lambda unit: self.ensure(unit, store), largest_first))

    # -- is it there? --------------------------------------------------------------------------------------------

    def _is_whole(self, digest: str) -> bool:
        mark = self.home / "marks" / digest
        try:
            told = json.loads(mark.read_bytes())
        except (OSError, ValueError):
            return False
        if told.get("boot") != self._boot:
            return False
        with contextlib.suppress(OSError):
            os.utime(mark)
        return (self.home / "units" / digest).is_dir()

    def _mark(self, digest: str, size: int) -> None:
        staged = self.home / "tmp" / f"mark-{os.getpid()}-{digest}"
        staged.write_text(json.dumps({"boot": self._boot, "size": size}))
        staged.replace(self.home / "marks" / digest)

    # -- fetching ------------------------------------------------------------------------------------------------

    def _fetch(self, unit: Unit, store: JobStore) -> None:
        listing = decode(store.get(pack.listing_key(unit.digest)), unit.digest)
        place = self.directory(unit)
        if place.is_dir() and is_intact(place, listing):
            self._mark(unit.digest, listing.size)
            return
        self._make_room(listing.size)
        try:
            self._extract(unit, listing, store)
        except (OSError, FileError) as error:
            if _cause(error).errno not in _FULL or not self._evict(0):
                raise self._refused(unit, error) from error
            try:
                self._extract(unit, listing, store)
            except (OSError, FileError) as again:
                raise self._refused(unit, again) from again

    def _refused(self, unit: Unit, error: Exception) -> DeploymentError:
        return DeploymentError(
            f"{unit.name} ({unit.size:,} bytes) cannot be written to the worker's cache {self.home}: "
            f"{_cause(error).strerror}; "
            "free some space there, or choose another place with --worker-cache"
        )

    def _extract(self, unit: Unit, listing: Listing, store: JobStore) -> None:
        staged = Path(tempfile.mkdtemp(prefix=f"{unit.digest[:16]}-", dir=self.home / "tmp"))
        try:
            extract(unit.digest, listing, store, staged)
            place = self.directory(unit)
            if place.exists():
                remove_tree(place)
            (staged / "unit").rename(place)
        finally:
            remove_tree(staged)
        self._mark(unit.digest, listing.size)
        with (self.home / "fetched").open("a") as log:
            log.write(f"{unit.digest} {unit.name} {listing.size}\n")

    # -- room ----------------------------------------------------------------------------------------------------

    def _make_room(self, size: int) -> None:
        if self.used() + size > self.limit:
            self._evict(max(0, self.limit - size))

    def used(self) -> int:
        """Bytes of all units."""
        return sum(size for _, size, _ in self._marks())

    def _marks(self) -> Iterator[tuple[float, int, str]]:
        for mark in (self.home / "marks").iterdir():
            with contextlib.suppress(OSError, ValueError):
                yield mark.stat().st_mtime, int(json.loads(mark.read_bytes())["size"]), mark.name

    def forget_ways(self) -> None:
        """Remove notes of ways that nobody has gone for long (see `moil.arrival`): they may hold the variables of a run."""
        with contextlib.suppress(OSError):
            for note in (self.home / "ways").iterdir():
                if time.time() - note.stat().st_mtime > ABANDONED:
                    note.unlink()

    def _evict(self, keep: int) -> bool:
        """Remove views and units that nobody uses, the least recently used first; whether anything was removed."""
        removed = self._evict_views()
        used = self.used()
        for _, size, digest in sorted(self._marks()):
            if used <= keep:
                break
            if self._remove(digest, self.home / "units" / digest, self.home / "marks" / digest):
                used -= size
                removed = True
        return removed

    def _evict_views(self) -> bool:
        removed = False
        for view in self.views.iterdir():
            if view.is_dir() and not view.is_symlink():
                removed = self._remove(view.name, view, None) or removed
        return removed

    def _remove(self, name: str, place: Path, mark: Path | None) -> bool:
        lease = self.lock(name, wait=False)
        if lease is None:
            return False
        try:
            if mark is not None:
                mark.unlink(missing_ok=True)
            remove_tree(place)
        finally:
            lease.close()
        return True

    # -- failures ------------------------------------------------------------------------------------------------

    @contextmanager
    def remembering(self, what: str) -> Iterator[None]:
        """A failure inside the block is raised again, at once, by whoever comes within `REMEMBERED` seconds."""
        note = self.home / "failures" / what
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(note.read_bytes())
            if 0 <= time.time() - told["at"] < REMEMBERED:
                raise DeploymentError(told["error"])
        try:
            yield
        except MoilError as error:
            with contextlib.suppress(OSError):
                note.write_text(json.dumps({"at": time.time(), "error": str(error)}))
            raise


def evict_copies(folder: Path, limit: int | None = None) -> None:
    """Remove copies of runs' files (see `moil.runtime.files`), the least recently linked first, down to the limit.

    Whoever has one of them linked keeps it, and whoever is about to fetches it again.
    """
    with contextlib.suppress(OSError):
        most = min(LARGEST, int(shutil.disk_usage(folder).total * SHARE)) if limit is None else limit
        found = [(entry.stat(follow_symlinks=False), entry.path) for entry in os.scandir(folder)]
        total = sum(one.st_size for one, _ in found)
        for one, path in sorted(found, key=lambda pair: pair[0].st_ctime_ns):
            if total <= most:
                return
            os.unlink(path)
            total -= one.st_size


def _check_local(home: Path) -> None:
    kind = file_system(home)
    if kind in NETWORK:
        raise DeploymentError(
            f"the worker's cache {home} is on a network file system ({kind}), where locks lie and every start is slow; "
            "choose a local directory with --worker-cache, or use --force-worker-cache"
        )


def _cause(error: Exception) -> OSError:
    """What the operating system said; a job store that writes a local file wraps it."""
    found = error if isinstance(error, OSError) else error.__cause__
    return found if isinstance(found, OSError) else OSError(0, str(error))


def make_private(home: Path) -> None:
    """A directory of ours that nobody else can write to. Raises DeploymentError, OSError."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise DeploymentError(
            f"the worker's cache {home} belongs to somebody else, or is no directory; choose another with --worker-cache"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        home.chmod(0o700)


def boot_id() -> str:
    """Changes when this machine is started anew; "" where the kernel does not tell, so that nothing is trusted twice."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"process {os.getpid()}"
