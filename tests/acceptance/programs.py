"""The programs that the acceptance tests run, as users would write them. Run as: programs.py NAME ARGUMENTS."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import moil
from moil import File


@dataclass
class Point:
    x: int
    y: int


@moil.job
def double(number: int) -> int:
    return 2 * number


@moil.job
def add_up(numbers: list[int]) -> int:
    return sum(numbers)


@moil.job
def fan(width: int = 5) -> int:
    return add_up([double(number) for number in range(width)])


@moil.job
def slowly(number: int, seconds: float, trace: Path) -> int:
    with trace.open("a") as file:
        file.write(f"{number}\n")
    time.sleep(seconds)
    return number


@moil.job
def slow_fan(trace: Path, width: int = 20, seconds: float = 0.05) -> int:
    return add_up([slowly(number, seconds, trace) for number in range(width)])


@moil.job
def traced(trace: Path, number: int) -> int:
    fd = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{number}\n".encode())
    os.close(fd)
    return number


@moil.job
def quick_fan(trace: Path, width: int) -> int:
    return add_up([traced(trace, number) for number in range(width)])


@moil.job
def tree(trace: Path, low: int, high: int) -> int:
    if high - low == 1:
        return traced(trace, low)
    middle = (low + high) // 2
    return add_up([tree(trace, low, middle), tree(trace, middle, high)])


@moil.job
def big_tree(trace: Path, jobs: int = 500) -> int:
    return tree(trace, 0, jobs)


@moil.job
def point() -> Point:
    return Point(1, 2)


@moil.job
def divide(number: int) -> float:
    print(f"dividing by {number}")
    return 1 / number


@moil.job
def failing() -> list[float]:
    return [divide(1), divide(0)]


@moil.job
def mended(flag: Path) -> int:
    if not flag.exists():
        raise RuntimeError("the flag is not there")
    return 7


@moil.job
def once(trace: Path) -> int:
    return traced.fn(trace, 1)


@moil.job
def half_failing(flag: Path, trace: Path) -> int:
    return add_up([once(trace), mended(flag)])


@moil.job(memory="100 MiB", retries=0)
def hog() -> int:
    block = bytearray(400 << 20)
    time.sleep(60)
    return len(block)


@moil.job(memory="100 MiB", retries=3)
def grows() -> str:
    block = bytearray(250 << 20)
    time.sleep(1)
    return f"{moil.current().attempt} {moil.current().requirements.memory} {len(block)}"


@moil.job(walltime=0.5, retries=0)
def too_slow() -> None:
    time.sleep(60)


@moil.job(retries=0)
def dies(note: Path) -> None:
    moil.defer(note.write_text, "deferred")
    print("before the end", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


@moil.job
def one_bad_one_long(begun: Path) -> list[object]:
    return [slowly(1, 3600, begun), divide(0)]


@moil.job
def patient(begun: Path, note: Path, go: Path) -> int:
    if not go.exists():
        moil.defer(note.write_text, "deferred")
        begun.touch()
        time.sleep(3600)
    return 3


@moil.job
def litters(note: Path) -> int:
    process = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    note.write_text(str(process.pid))
    return 1


@moil.job
def littering(note: Path) -> int:
    return litters(note)


@moil.service
def counter(start: int, note: Path) -> Iterator[int]:
    note.write_text("up")
    yield start + 1
    note.write_text("down")


@moil.job
def served(note: Path) -> list[int]:
    with counter(1, note) as first, counter(first, note) as second:
        return [double(first), double(second)]


@moil.job
def make_file(text: str) -> File:
    path = Path("made.txt")
    path.write_text(text)
    return File.save(path)


@moil.job
def read_file(file: File) -> str:
    return f"{file.name}: {file.open('r').read()}"


@moil.job
def through_file(text: File) -> str:
    return read_file(make_file(text.open("r").read()))


@moil.job
def gives_file() -> File:
    return make_file("a result")


@moil.job(accelerators="gpu:1")
def device() -> str:
    return os.environ["CUDA_VISIBLE_DEVICES"]


@moil.job
def devices() -> list[str]:
    return [device(), device()]


@moil.job
def where() -> list[str]:
    return [os.getcwd(), str(moil.current().scratch), os.environ.get("FROM_HOME", "")]


@moil.job
def pids(count: int) -> list[int]:
    return [process_id() for _ in range(count)]


@moil.job
def process_id() -> int:
    return os.getpid()


@moil.job
def fails_and_saves() -> int:
    path = Path("orphan.bin")
    path.write_bytes(b"orphan" * 1000)
    File.save(path)
    raise RuntimeError("after saving")


if __name__ == "__main__":
    chosen = globals()[sys.argv.pop(1)]
    moil.main(chosen)
