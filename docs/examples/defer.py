"""Clean up, however the attempt ends."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import moil


# [defer]
@moil.job(memory="64 MiB", retries=1)
def crunch(shelf: Path) -> str:
    """Uses a directory that is not in its scratch directory, and dies in its first attempt."""
    attempt = moil.current().attempt
    fast = Path(tempfile.mkdtemp(prefix=f"attempt-{attempt}-", dir=shelf))
    moil.defer(shutil.rmtree, fast)
    (fast / "big").write_text("intermediate data")
    if attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"attempt {attempt} sees {len(list(shelf.iterdir()))} directory on the shelf"
# [/defer]


@moil.job(memory="64 MiB")
def main(shelf: Path) -> str:
    """Crunch on SHELF."""
    return crunch(shelf)


if __name__ == "__main__":
    moil.main(main)
