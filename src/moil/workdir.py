"""The directory for temporary files on this machine: private, local, and gone when the run is.

STORED FORMAT: none; but a run that was killed is recognised by the name of its directory, which is its id.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from moil.authoring import plain
from moil.deployment.file_systems import NETWORK, file_system
from moil.errors import UsageError


def prepare(base: Path | None, run_id: str, *, force: bool) -> Path:
    """Make (or find again) the run's directory below `base`. Raises UsageError naming the cure."""
    root = (base or plain.temporary_directory()).absolute()
    if not root.is_dir():
        raise UsageError(f"work directory {root} does not exist; make it, or choose another with --work-dir")
    kind = file_system(root)
    if kind in NETWORK and not force:
        raise UsageError(
            f"work directory {root} is on a network file system ({kind}), where temporary files are slow and locks lie; "
            "choose a local one with --work-dir, or use --force-work-dir"
        )
    own = root / f"moil-{os.getuid()}"
    try:
        own.mkdir(mode=0o700, exist_ok=True)
        found = own.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise UsageError(f"{own} belongs to somebody else; choose another place with --work-dir")
        own.chmod(0o700)
        work = own / run_id
        work.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        why = f"work directory {root} cannot be used: {error.strerror}; choose another with --work-dir"
        raise UsageError(why) from error
    return work


def remove(work: Path) -> None:
    """Remove the run's directory, and the user's if it was the last one in it."""
    plain.discard(work)
    try:
        work.parent.rmdir()
    except OSError:
        return  # other runs are using it


def leftovers(work: Path) -> list[Path]:
    """Directories of attempts that nobody cleaned up."""
    return [one for one in work.iterdir() if one.is_dir() and one.name.partition(".")[0].isdigit()]
