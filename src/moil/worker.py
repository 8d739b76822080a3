"""The worker's entry: puts a worker together from the standard library, cloudpickle and the engine's own modules.

Started as ``python -c 'from moil.worker import main; …'`` by a batch system, with one end of a socket open.
"""

from __future__ import annotations

import gc
import os
import sys

from moil.plugins import open_store
from moil.runtime import zygote


def main() -> None:
    """Be a zygote until the leader is gone."""
    gc.enable()  # see `moil.runtime.interpreter`
    number = int(sys.argv.pop(1))
    if os.environ.get("LD_BIND_NOW") == "Moil":
        del os.environ["LD_BIND_NOW"]  # see `moil.runtime.interpreter`; no job's own programs need it
    os.closerange(number + 1, os.sysconf("SC_OPEN_MAX"))
    channel = zygote.connect(number)
    zygote.Zygote(channel, open_store).serve()
    os._exit(0)  # the leader waits for this, and there is nothing left to be put away
