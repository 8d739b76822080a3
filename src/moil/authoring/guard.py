"""What a worker gets for `moil.run`, `moil.main` and `moil.add_options`: a run is never started there.

So a worker need not have what the leader's side of the engine is made of, and a script that starts a run while it is
being imported is told so.
"""

from __future__ import annotations

from typing import Any, NoReturn

from moil.authoring.context import ambient
from moil.errors import GuardError


def run(*args: object, **settings: object) -> NoReturn:
    """Raises GuardError."""
    ambient.refuse_run()
    raise GuardError("a worker does not start runs; call the job directly instead")


def main(*args: object, **settings: object) -> NoReturn:
    """Raises GuardError."""
    run()


def add_options(parser: Any) -> None:
    """Nothing: a parser may be built where a module is imported, and is not used here."""
