"""A process on a worker that brings a distribution to a view: part of the composition root.

`moil.deployment.import_hook` starts it, in the worker's bare Python, and reads from its standard output what went wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

from moil.deployment import arrivals
from moil.errors import MoilError
from moil.plugins import open_store


def main(view: str, name: str) -> None:
    """Bring what has this import name."""
    try:
        arrivals.bring(Path(view), name, open_store)
    except MoilError as error:
        sys.stdout.write(str(error))
