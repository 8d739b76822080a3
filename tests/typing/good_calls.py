"""Calls that both type checkers must accept. Never run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_type

import moil
from moil import File


@dataclass
class Stats:
    mean: float
    file: File


@moil.job
def count(text: File, least: int = 1) -> dict[str, int]:
    return {text.name: least}


@moil.job(cores=2, memory="4 GiB", walltime="2 h", accelerators="gpu:1", retries=3, checkpoint=True)
def split(text: File) -> tuple[File, File]:
    return text, text


@moil.job
def describe(text: File) -> Stats:
    return Stats(1.0, text)


@moil.service(cores=1)
def database(path: Path) -> Iterator[str]:
    yield str(path)


@moil.job
def load(address: str, text: File) -> int:
    return len(address)


@moil.job
def bytes_needed(text: File) -> int:
    return text.size


@moil.job
def main(texts: list[File]) -> list[dict[str, int]]:
    left, right = split(texts[0])
    assert_type(left, File)
    stats = describe(right)
    assert_type(stats.mean, float)
    with database(Path("db")) as address:
        assert_type(address, str)
        loaded = load(address, stats.file)
    big = count.options(memory=bytes_needed(left), after=[loaded])(left)
    assert_type(big, dict[str, int])
    assert_type(count.fn(left), dict[str, int])
    moil.defer(print, "done", end="")
    assert_type(moil.current().scratch, Path)
    assert_type(File.save("x").path(), Path)
    return [big, *[count(text, least=2) for text in texts]]


def from_outside() -> None:
    assert_type(main([File("a.txt")]), list[dict[str, int]])
    assert_type(moil.run(main, [File("a.txt")], retries=2), list[dict[str, int]])
    moil.main(main)
