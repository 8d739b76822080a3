"""Calls that both type checkers must refuse, on each line marked E and on no other. Never run."""

from collections.abc import Iterator

import moil
from moil import File


@moil.job
def count(text: File, least: int = 1) -> dict[str, int]:
    return {text.name: least}


@moil.service
def database(name: str) -> Iterator[str]:
    yield name


@moil.job
def load(address: str) -> int:
    return len(address)


@moil.job
def main(text: File) -> int:
    count("a.txt")  # E
    count(text, least="2")  # E
    count()  # E
    count(text, most=3)  # E
    load(count(text))  # E
    wrong: str = load("x")  # E
    with database(3) as address:  # E
        load(address)
    with database("x") as number:
        count(number)  # E
    count.options(color="red")(text)  # E
    count.options(retries="many")(text)  # E
    File.save(3)  # E
    moil.current().scratch = None  # E
    return count(text)  # E


@moil.job(colour="red")  # E
def painted() -> None: ...
