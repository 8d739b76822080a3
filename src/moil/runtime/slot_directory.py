"""The directory of a slot: what the attempt in it keeps on this machine.

    scratch/    its working directory, empty when it begins
    files/      local copies of the files that it reads
    deferred    its deferred calls (see `moil.runtime.deferred`)

The directory is the slot's, and every attempt that begins there finds it as if it were new. Most attempts leave nothing
behind, and making directories is what would cost most on their way; so it is looked at, and made anew only if it is not
as it was.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from moil.authoring import plain
from moil.runtime.execute import Place

_MODE = 0o700


class SlotDirectory:
    """One such directory."""

    def __init__(self, path: Path) -> None:
        self.path = path = Path(os.path.realpath(path))  # files are compared with it
        self.scratch = path / "scratch"
        self.files = path / "files"
        self.deferred = path / "deferred"
        #: What its attempts are told of it, once that has been made.
        self.place: Place | None = None
        self._names = [self.scratch.name]
        self._place, self._scratch = str(path), str(self.scratch)

    def make(self) -> None:
        """Empty, whatever an earlier leader has left."""
        try:
            self._make()
        except FileExistsError:
            self.remove()
            self._make()

    def _make(self) -> None:
        os.mkdir(self._place, _MODE)
        os.mkdir(self._scratch, _MODE)

    def is_new(self) -> bool:
        """Whether the attempt has left it as it was."""
        try:
            return (
                not os.listdir(self._scratch)
                and os.listdir(self._place) == self._names
                and os.stat(self._scratch).st_mode & 0o7777 == _MODE
            )
        except OSError:
            return False

    def renew(self) -> None:
        """Make it new again."""
        if not self.is_new() and not self._emptied():
            self.remove()
            self.make()

    def _emptied(self) -> bool:
        """Most of those that leave something leave a few files."""
        try:
            for name in os.listdir(self._scratch):
                os.unlink(f"{self._scratch}/{name}")
        except OSError:
            return False
        return self.is_new()

    def remove(self) -> None:
        """With all that is in it; what cannot be removed is at least put out of the way."""
        try:
            os.rmdir(self._scratch)
            os.rmdir(self._place)
        except OSError:
            plain.discard(self.path)
            with suppress(FileNotFoundError):
                os.rename(self._place, f"{self._place}-{os.urandom(4).hex()}")
