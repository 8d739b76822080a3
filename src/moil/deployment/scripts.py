"""Console scripts: read from entry points, left out at home, written again on a worker for its interpreter.

A script that an installer has written names the interpreter in its first line, so it is of no use elsewhere. What
belongs to an entry point is made anew; any other script of Python is shipped with the neutral first line ``#!python``,
which wheels have too, and gets the worker's interpreter there. Used at home and on workers: standard library only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

LONGEST_SHEBANG = 127
"""What every Linux takes as the first line of a script."""
_SECTIONS = ("console_scripts", "gui_scripts")
_ENTRY = re.compile(r"^(?P<name>[^=\s][^=]*?)\s*=\s*(?P<module>[\w.]+)\s*:\s*(?P<attribute>[\w.]+)\s*(\[.*\])?\s*$")
_PYTHON = re.compile(rb"^#![^\n]*python[^\n/]*\n")
_THROUGH_SHELL = re.compile(rb"^#!/bin/sh\n'''exec' [^\n]*python[^\n]*\n' '''\n")
_NEUTRAL = b"#!python\n"
_SCRIPT = """import sys
from {module} import {top}
if __name__ == "__main__":
    sys.argv[0] = sys.argv[0].removesuffix(".exe")
    sys.exit({attribute}())
"""


def entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, module and attribute of each script that an ``entry_points.txt`` offers."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section in _SECTIONS and (found := _ENTRY.match(line)) and "/" not in found["name"]:
            yield found["name"], found["module"], found["attribute"]


def console_script(python: str, module: str, attribute: str) -> bytes:
    """The script of an entry point."""
    body = _SCRIPT.format(module=module, top=attribute.partition(".")[0], attribute=attribute)
    return shebang(python) + body.encode()


def shebang(python: str) -> bytes:
    """The first line or lines, for an interpreter whose path may be long or hold spaces."""
    line = f"#!{python}\n".encode(errors="surrogateescape")
    if len(line) <= LONGEST_SHEBANG and not re.search(r"\s", python):
        return line
    return f"#!/bin/sh\n'''exec' {shlex.quote(python)} \"$0\" \"$@\"\n' '''\n".encode(errors="surrogateescape")


def is_python(head: bytes) -> bool:
    """Whether a file that begins so is a script of Python."""
    return bool(_PYTHON.match(head) or _THROUGH_SHELL.match(head))


def neutral(script: bytes) -> bytes:
    """The script without its interpreter; anything else is left as it is."""
    return _THROUGH_SHELL.sub(_NEUTRAL, script) if _THROUGH_SHELL.match(script) else _PYTHON.sub(_NEUTRAL, script)


def for_python(script: bytes, python: str) -> bytes:
    """The script with this interpreter; anything else is left as it is."""
    script = neutral(script)
    return shebang(python) + script.removeprefix(_NEUTRAL) if script.startswith(_NEUTRAL) else script
