"""Edit ``rates.py`` while this runs: jobs that run or wait use the rates that the run began with.

``go`` is a file that the first job waits for, so that there is time to edit.
"""

import time
from pathlib import Path
from typing import Any

import moil
import rates

PATIENCE = 120.0


@moil.job
def wait(go: Path) -> str:
    """Say that it runs, and wait for somebody to make the file."""
    go.with_suffix(".waiting").touch()
    until = time.monotonic() + PATIENCE
    while not go.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return f"at {rates.RATE}"


@moil.job
def convert(amount: int, after: str) -> float:
    """Queued until the other is done."""
    return amount * rates.RATE


@moil.job(retries=0)
def audit(amount: float, ledger: Path) -> str:
    """Fails while there is no ledger."""
    return f"{ledger.read_text(encoding='utf-8').strip()}: {amount:g} at {rates.RATE}"


@moil.job
def main(go: Path, ledger: Path) -> dict[str, Any]:
    """Convert an amount when GO is there, and write down what is in LEDGER."""
    waited = wait(go)
    converted = convert(100, waited)
    return {"waited": waited, "converted": converted, "audited": audit(converted, ledger)}


if __name__ == "__main__":
    moil.main(main)
