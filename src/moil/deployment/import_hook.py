"""Has a distribution brought to a view when something of it is imported there for the first time.

This file is never imported where it lies: its text is put into a view's site directory, where a ``.pth`` has every
interpreter of the view import it when it starts (see `moil.deployment.arrivals`, which writes both, and what is read
here). So it holds for the worker, for its jobs, and for whatever Python they start, without the engine being importable
there. It imports nothing that Python has not loaded by then.

What is awaited has a file of its import name in the directory ``on-demand``. The import of such a name waits for another
process, which does the work with the engine's own code; the directory that holds it is told in the notes of where the
view has come from. If it cannot be brought an error is raised that is no ImportError, as a program which does
without a module that is not installed must not do without one that is.
"""

from __future__ import annotations

import os
import sys

_BRING = "import sys; sys.path.insert(0, sys.argv[1]); from moil.bring import main; main(*sys.argv[2:])"


class OnDemand:
    """First among the finders of modules; finds none itself."""

    def __init__(self, view: str) -> None:
        self._view = view
        self.awaited = {one for one in os.listdir(os.path.join(view, "on-demand")) if not one.startswith(".")}

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Have the module's distribution here, if it is one of those that come late. Raises RuntimeError."""
        top = fullname.partition(".")[0]
        if top in self.awaited:
            if self._is_missing(top):
                self._bring(top)
            for one in list(sys.path_importer_cache.values()):
                getattr(one, "invalidate_caches", _nothing)()
            self.awaited.discard(top)

    def _is_missing(self, name: str) -> bool:
        return os.path.exists(os.path.join(self._view, "on-demand", name))

    def _bring(self, name: str) -> None:
        python = os.path.join(self._view, "bin", "python")
        words = [python, "-I", "-S", "-c", _BRING, self._engine(), self._view, name]
        reader, writer = os.pipe()
        nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        try:
            process = os.posix_spawn(
                python, words, os.environ, file_actions=[nothing, (os.POSIX_SPAWN_DUP2, writer, 1)]
            )
        finally:
            os.close(writer)
        try:
            os.waitpid(process, 0)
        except ChildProcessError:
            pass  # it has ended, and somebody else waits for all children
        trouble = _told(reader)
        if self._is_missing(name):
            why = trouble or "the process that was to do so has failed"
            raise RuntimeError(
                f"module {name} could not be fetched when it was imported: {why} (--no-deploy-on-demand has everything "
                "fetched before the program starts)"
            )

    def _engine(self) -> str:
        """Where the engine's code is on this machine."""
        notes = os.path.join(self._view, "on-demand", ".from")
        for note in os.listdir(notes):
            try:
                with open(os.path.join(notes, note), encoding="utf-8", errors="surrogateescape") as file:
                    engine = file.read().partition("\0")[2]
            except FileNotFoundError:
                continue  # another worker has removed it, as there are newer ones
            if os.path.isdir(engine):
                return engine
        raise RuntimeError(f"the engine is no longer in the worker's cache ({notes}): was the cache removed?")


def _told(reader: int) -> str:
    """What has been written to a pipe by now. It may have been inherited by a process that never ends."""
    os.set_blocking(reader, False)
    try:
        return os.read(reader, 1 << 16).decode(errors="replace").strip()
    except BlockingIOError:
        return ""
    finally:
        os.close(reader)


def _nothing() -> None:
    """What a finder does that remembers nothing."""


def install() -> None:
    """Watch over the imports of this interpreter."""
    view = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    finder = OnDemand(view)
    if finder.awaited:
        sys.meta_path.insert(0, finder)


if __name__ == "_moil_on_demand":
    install()
