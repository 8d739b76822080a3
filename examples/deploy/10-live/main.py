"""On a file system that all machines share: ``--deploy live`` lets workers read the code where it lies."""

import socket
from typing import Any

import moil
import rules


@moil.job
def decide(number: int) -> str:
    return rules.decide(number)


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, rules.__file__], "host": socket.gethostname()}


@moil.job
def main(number: int = 7) -> dict[str, Any]:
    """Decide about NUMBER."""
    return {"decision": decide(number), "where": seen()}


if __name__ == "__main__":
    moil.main(main)
