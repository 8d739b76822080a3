"""End a run that is under way: its jobs are ended, what is done is kept, and it can be resumed.

The run's leader is asked through the job store, and looks there every second; so it may be on any machine.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence

from moil.cli.parsing import store_parser
from moil.cli.reading import Run, look, opened, unless_gone
from moil.errors import MoilError, StoreError, UsageError
from moil.ports.job_store import DurableStore
from moil.runtime.leader import CANCEL_REQUEST

PATIENCE = 60.0
POLL = 0.1


def main(words: Sequence[str]) -> int:
    """``moil cancel STORE``."""
    parser = store_parser(__name__, __doc__)
    parser.add_argument("--no-wait", action="store_true", help="do not wait until the leader has answered")
    given = parser.parse_args(words)
    with opened(given.store) as store:
        run = look(store)
        if not run.led:
            raise UsageError(f"the run in {store.locator} {run.standing}: there is nothing to cancel")
        who = {"host": socket.gethostname(), "pid": os.getpid(), "at": run.now}
        store.put(CANCEL_REQUEST, json.dumps(who).encode())
        if given.no_wait:
            print(f"Asked {run.leader} to cancel run {run.name}.")
        else:
            _wait(store, run)
    return 0


def _wait(store: DurableStore, before: Run) -> None:
    """Until the run has ended one way or the other. Raises MoilError if it does not."""
    try:
        run = _end_of(store)
    except StoreError as error:
        unless_gone(store, error)
        print(f"Run {before.name} has ended, and its job store was removed.")
        return
    if run is None:
        raise MoilError(
            f"{before.leader} has not answered within {PATIENCE:.0f} s; the request stands, and is met when it does: "
            f"see moil status {before.place}"
        )
    how = f" Resume it with: {run.resume}" if run.resume and run.status.state != "finished" else ""
    print(f"Run {run.name} {run.standing}.{how}")
    store.delete([CANCEL_REQUEST])


def _end_of(store: DurableStore) -> Run | None:
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience:
        run = look(store)
        if not run.led:
            return run
        time.sleep(POLL)
    return None
