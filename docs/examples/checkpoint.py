"""A checkpoint: when something below it fails for good, it is run again, and all below it."""

from pathlib import Path

import moil


# [checkpoint]
@moil.job(memory="64 MiB", retries=0)
def use(ticket: str) -> str:
    if ticket == "ticket 1":
        raise PermissionError(f"{ticket} has expired")
    return f"used {ticket}"


@moil.job(memory="64 MiB", checkpoint=True, retries=1)
def session(log: Path) -> str:
    """Asks for a fresh ticket each time it is run."""
    asked = len(log.read_text()) + 1 if log.exists() else 1
    log.write_text("." * asked)
    return use(f"ticket {asked}")
# [/checkpoint]


@moil.job(memory="64 MiB")
def main(log: Path) -> str:
    return session(log)


if __name__ == "__main__":
    moil.main(main)
