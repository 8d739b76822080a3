"""The worker's entry: puts a worker together from the standard library, cloudpickle and the engine's own modules.

Started as ``python -c 'from moil.worker import main; …'`` by a batch system, with one end of a socket open.
"""

from __future__ import annotations

import sys

from moil.plugins import open_store
from moil.runtime import zygote

BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from moil.worker import main; main()"
"""What the interpreter is told to run; its arguments are where the engine is and the number of the open socket."""


def main() -> None:
    """Be a zygote until the leader is gone."""
    channel = zygote.connect(int(sys.argv.pop(1)))
    zygote.Zygote(channel, open_store).serve()
