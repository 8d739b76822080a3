#!/usr/bin/env python3
"""A script with modules beside it. One of them is imported only where it is needed."""

import importlib
import os
import socket
from typing import Any

import moil
import utilities


@moil.job
def greet(name: str) -> str:
    return utilities.greeting(name)


@moil.job
def sign(name: str) -> str:
    import signatures  # nobody imports it at home, and it is there all the same

    return signatures.sign(name)


@moil.job
def measure(kind: str) -> float:
    return importlib.import_module(f"measure_{kind}").ONE


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found, and what the machine is called."""
    return {"files": [__file__, utilities.__file__], "directory": os.getcwd(), "host": socket.gethostname()}


@moil.job
def main(name: str = "Ada") -> dict[str, Any]:
    """Greet NAME, and say where that was done."""
    return {"greeting": greet(name), "signature": sign(name), "inch": measure("inch"), "where": seen()}


if __name__ == "__main__":
    moil.main(main)
