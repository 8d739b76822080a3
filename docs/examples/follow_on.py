"""Order without data: a job that runs when others, and all below them, have settled."""

from pathlib import Path

import moil


@moil.job(memory="64 MiB")
def write(line: str, to: Path) -> None:
    with to.open("a") as lines:
        print(line, file=lines)


@moil.job(memory="64 MiB")
def write_all(lines: list[str], to: Path) -> None:
    for line in lines:
        write(line, to)


@moil.job(memory="64 MiB")
def count(of: Path) -> int:
    return len(of.read_text().splitlines())


# [after]
@moil.job(memory="64 MiB")
def main(to: Path) -> int:
    written = write_all(["one", "two", "three"], to)
    return count.options(after=written)(to)
# [/after]


if __name__ == "__main__":
    moil.main(main)
