"""What the tests of mishaps run: jobs that say where they are, and wait until they are told to go on."""

import json
import os
import time
from pathlib import Path

import moil


def note(board: Path, name: str) -> None:
    """A line on the board, which all machines see: who ran, where, as which attempt."""
    line = json.dumps({"job": name, "host": os.uname().nodename, "pid": os.getpid(), "attempt": moil.current().attempt})
    with (board / "runs").open("a") as file:
        file.write(line + "\n")


@moil.job
def quick(board: Path, number: int) -> int:
    note(board, f"quick {number}")
    return number


@moil.job
def waits(board: Path, number: int) -> int:
    """Until there is a file `go`, whose name is looked for in a listing: NFS would not find it otherwise."""
    note(board, f"waits {number}")
    patience = time.monotonic() + 300
    while "go" not in os.listdir(board):
        assert time.monotonic() < patience, "nobody said go"
        time.sleep(0.1)
    return number


@moil.job(memory="64 MiB")
def hungry(board: Path) -> int:
    note(board, "hungry")
    return len(bytes(100 << 20).replace(b"\0", b"\1"))


@moil.job(walltime="3 s")
def slow(board: Path) -> int:
    note(board, "slow")
    time.sleep(5)
    return 1


@moil.job
def add(numbers: list[int]) -> int:
    return sum(numbers)


@moil.job
def main(board: Path, *, before: int = 4, during: int = 3, limits: bool = False) -> int:
    """The sum of the numbers of BEFORE quick jobs and of DURING jobs that wait for `go`."""
    numbers = [quick(board, number) for number in range(before)] + [waits(board, number) for number in range(during)]
    return add(numbers + ([hungry(board), slow(board)] if limits else []))


if __name__ == "__main__":
    moil.main(main)
