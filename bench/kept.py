"""What it costs to keep files without any engine: how far scenario E of `run.py` can be from its floor.

    python bench/kept.py [--files 200] [--reps 9] [--copy]

The floor of `run.py` writes files and leaves them there. Here each file is kept as Moil keeps one that is given away: hashed
while it is being written to the disk, flushed, given its name, the name flushed, and the old name removed; in the end all
are read and removed. With --copy each is copied first, as Moil does with one that stays where it is. With a fork for each file and with reused workers, two at a time, in turn.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("BENCH_WORKERS", "2")
sys.path.insert(0, str(Path(__file__).parent / "programs"))

import on_floor

MIB = 1 << 20
COPY = "--copy" in sys.argv


def keep(number: int) -> str:
    """Write a file, and keep it under its content's name."""
    original, staged = f"original-{number}", f"store/tmp/{number}"
    with open(original, "wb") as file:
        file.write(bytes([number % 256]) * MIB)
    if COPY:
        source, target = os.open(original, os.O_RDONLY), os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o444)
        while os.copy_file_range(source, target, 64 * MIB):
            pass
        os.close(source)
        os.unlink(original)
    else:
        os.rename(original, staged)
        target = os.open(staged, os.O_RDONLY)
        os.fchmod(target, 0o444)
    os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
    digest, chunk = hashlib.sha256(), memoryview(bytearray(1 << 16))
    with open(staged, "rb", buffering=0) as copy:
        while count := copy.readinto(chunk):
            digest.update(chunk[:count])
    os.fdatasync(target)
    kept = f"store/files/{number}-{digest.hexdigest()}"
    os.link(staged, kept)
    folder = os.open("store/files", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    for descriptor in (folder, target):
        os.close(descriptor)
    os.unlink(staged)
    return kept


def run(make: Callable[[], Callable[[Sequence[Any]], list[Any]]], files: int) -> float:
    """Seconds, from the start of the workers to when all is removed."""
    os.makedirs("store/tmp")
    os.makedirs("store/files")
    begun = time.perf_counter()
    each = make()
    paths = each([(keep, number) for number in range(files)])
    assert each([(on_floor.read, paths)]) == [files * MIB]
    shutil.rmtree("store")
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--reps", type=int, default=9)
    parser.add_argument("--copy", action="store_true", help="copy each file, and keep the copy")
    options = parser.parse_args()
    kinds = {"a fork for each file": lambda: on_floor.fork_each, "reused workers": on_floor.Pool}
    found: dict[str, list[float]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as work:
        os.chdir(work)
        for _ in range(options.reps):
            for name, make in kinds.items():
                found[name].append(run(make, options.files))
        os.chdir("/")
    for name, times in found.items():
        print(f"{options.files} files of 1 MiB kept, {name}: {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")


if __name__ == "__main__":
    main()
