"""How a program ends whose last act is ours: without being taken apart.

An interpreter that ends looks for garbage several times, and takes its modules apart, function by function. Of these an
engine has many: it took a seventh of the time of a run of one job (measured with CPython 3.11), and gives nothing to
anybody, for the memory goes back as a whole.

What counts is done all the same. Garbage is collected once more, so that what nobody can reach is finalized. What is
left is then kept out of the collector's sight, and of all modules only the program's own are taken apart: whatever only
a global refers to is finalized too. That leaves objects which refer to each other in a circle. Python promises for no
object that it is finalized when the interpreter ends; but a file among them may hold what was written to it, so if any
file is open all are flushed.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from contextlib import suppress
from fcntl import F_GETFL, fcntl
from typing import Any

_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_OURS = {"moil", "msgspec"}


def be_quick() -> None:
    """When this process ends, after all that is registered with `atexit` from now on."""
    atexit.unregister(_settle)
    atexit.register(_settle)


def _settle() -> None:
    if _may_have_more_to_write():
        for one in gc.get_objects():
            if isinstance(one, _WRITERS):
                with suppress(Exception):  # whatever is below the file may raise; the interpreter would say nothing either
                    one.flush()
    gc.collect()
    _keep([module for name, module in sys.modules.items() if _is_of_the_program(name)])
    gc.freeze()


def _keep(modules: list[Any]) -> None:
    """For good. A module that is still there when the interpreter has let go of all is taken apart, and no other is."""
    modules.append(modules)


def _is_of_the_program(name: str) -> bool:
    top = name.partition(".")[0]
    return name == "__main__" or (top not in sys.stdlib_module_names and top not in _OURS)


def _may_have_more_to_write() -> bool:
    """Whether any file is open for that; Python brings out what was printed."""
    try:
        return any(_is_written_to(int(number)) for number in os.listdir("/proc/self/fd"))
    except OSError:
        return True


def _is_written_to(descriptor: int) -> bool:
    try:
        return descriptor > 2 and fcntl(descriptor, F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False
