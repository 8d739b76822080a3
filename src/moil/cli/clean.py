"""Remove a run: its job store, with all results and files in it, and so any chance to resume it.

Refuses while a leader is at work on it, unless --force is given.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from moil.cli.parsing import store_parser
from moil.cli.reading import Run, look, opened
from moil.errors import DamagedError, MoilError, StoreError, UsageError
from moil.ports.job_store import DurableStore
from moil.session import RUNS


def main(words: Sequence[str]) -> int:
    """``moil clean STORE``."""
    parser = store_parser(__name__, __doc__)
    parser.add_argument("--force", action="store_true", help="even while a leader is at work on it")
    given = parser.parse_args(words)
    with opened(given.store) as store:
        if not given.force:
            _refuse_if_led(store)
        store.destroy()
        _remove_if_empty(Path(store.locator).parent)
        print(f"Removed {store.locator}.")
    return 0


def _refuse_if_led(store: DurableStore) -> None:
    """Take the run over: no leader that is alive allows that, and none that comes to life again can go on then.

    A store that holds no run, or a damaged one, may go. Raises UsageError.
    """
    run = _run_in(store)
    all_the_same = f"remove it all the same: moil clean --force {shlex.quote(store.locator)}"
    if run is not None and run.led:
        at_work = f"{run.leader} is at work on {store.locator}"
        raise UsageError(f"{at_work}; end it with: moil cancel {run.place}; or {all_the_same}")
    try:
        store.open_journal().close()
    except DamagedError:
        return
    except StoreError as error:
        raise UsageError(f"{error}; or {all_the_same}") from error


def _run_in(store: DurableStore) -> Run | None:
    try:
        return look(store)
    except MoilError:
        return None


def _remove_if_empty(folder: Path) -> None:
    """The directory that runs without ``--job-store`` are kept in goes with the last of them."""
    if folder.name == RUNS.name:
        with contextlib.suppress(OSError):
            folder.rmdir()
