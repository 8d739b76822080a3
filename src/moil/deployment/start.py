"""What the user started, and the directory of the import path that it is found in.

Python puts the directory of a script in front of the import path, after it has followed the script's own link; under
``-m`` it puts the current directory there, which says nothing, so the root is counted back from the module's file: one
level for each part of its name. A script that lies in a package is run as a script all the same, with its own directory
on the path; but what is shipped is the outermost package, so that what is found relative to its file is there.
"""

from __future__ import annotations

import os
from zipfile import is_zipfile

from moil.deployment.manifest import EntryPoint
from moil.deployment.request import Request
from moil.deployment.sweep import Sweep, sweep_of
from moil.deployment.tree import Tree, inside
from moil.record import record


@record
class Start:
    """Where a program begins. `origin` is the directory of its root, or the archive; "" if there is no file at all."""

    module: str = ""
    #: Relative to the origin; "" for an archive or a directory that is run as such.
    script: str = ""
    origin: str = ""
    #: The directory in the origin that is on the import path, where that is not the origin itself.
    inner: str = ""
    archive: bool = False
    #: The main module's file, relative to the origin.
    file: str = ""

    @property
    def shown(self) -> str:
        """What people call it."""
        return os.path.basename(self.file or self.origin) if not self.module else self.module

    def entry(self, root: int) -> EntryPoint:
        """As it stands in a plan."""
        return EntryPoint(module=self.module, script=self.script, root=root)


def find(request: Request, tree: Tree) -> Start | None:
    """The start; None for a module that is not loaded, which has yet to be found on the import path."""
    main = request.modules.get("__main__")
    file = main.file if main else ""
    if request.module == "__main__":
        return _run_as_such(os.path.dirname(file)) if file else Start()
    if request.module:
        return of_module(request.module, file) if _is_called(file, request.module) else None
    if not request.script:
        return Start()
    script = os.path.abspath(request.script)
    if os.path.isdir(script) or (not script.endswith(".py") and is_zipfile(script)):
        return _run_as_such(script)
    return _of_script(os.path.realpath(script), request, tree)


def _is_called(file: str, module: str) -> bool:
    """Whether a file can be that of a module of this name."""
    stem = os.path.splitext(file)[0].removesuffix("/__init__")
    return stem.endswith("/" + module.replace(".", "/"))


def of_module(name: str, file: str) -> Start:
    """The start of a module, by its dotted name and its file."""
    levels = name.count(".") + (1 if os.path.basename(file).startswith("__init__.") else 0)
    origin = os.path.dirname(file)
    for _ in range(levels):
        origin = os.path.dirname(origin)
    return Start(module=name, origin=origin, file=inside(origin, file))


def _run_as_such(place: str) -> Start:
    if os.path.isdir(place):
        return Start(origin=place, file="__main__.py")
    return Start(origin=place, archive=True)


def _of_script(script: str, request: Request, tree: Tree) -> Start:
    directory = os.path.dirname(script)
    origin = directory
    while tree.is_package(origin) and sweep_of(origin, request.home) is Sweep.all:
        origin = os.path.dirname(origin)
    path = inside(origin, script)
    return Start(script=path, origin=origin, inner=inside(origin, directory), file=path)
