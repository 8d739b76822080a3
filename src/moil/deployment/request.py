"""What discovery is asked, and what it may know of this interpreter: its import path, its modules, where things belong.

All of it is data that is taken down once, so discovery has no other source than this and the disk, and a test can ask
on behalf of an interpreter that does not exist.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from moil.record import field, record

ENGINE = Path(__file__).parent.parent
_SITES = ("site-packages", "dist-packages")


@record(kw_only=False)
class Loaded:
    """A module that the program has imported: its file, and where a package looks for its modules."""

    file: str = ""
    search: tuple[str, ...] = ()


NO_MODULES: Mapping[str, Loaded] = MappingProxyType({})


def standard_library() -> tuple[str, ...]:
    """The directories (and the archive) of this interpreter's standard library."""
    version = sys.version_info
    places = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.path.dirname(os.__file__)]
    zipped = f"python{version.major}{version.minor}.zip"
    bases = {sys.base_prefix, sys.base_exec_prefix}
    return tuple(dict.fromkeys([*places, *(os.path.join(base, sys.platlibdir, zipped) for base in sorted(bases))]))


def site_directories(path: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The directories into which distributions are installed for this interpreter, and those of `path` named like one."""
    known = [*site.getsitepackages(), site.getusersitepackages(), *map(sysconfig.get_path, ("purelib", "platlib"))]
    return tuple(dict.fromkeys([*known, *(one for one in path if os.path.basename(one) in _SITES)]))


def memory_directory(environ: Mapping[str, str]) -> Path | None:
    """Where this user's machine remembers what discovery has read; None if there is no such place."""
    cache, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    if os.path.isabs(cache):
        return Path(cache, "moil")
    return Path(home, ".cache", "moil") if home else None


@record
class Request:
    """One question to discovery."""

    #: As after ``python -m``.
    module: str = ""
    #: A script, an archive, or a directory that is run as such: absolute.
    script: str = ""
    #: The leader's import path: absolute, in order.
    path: tuple[str, ...] = ()
    #: What is loaded, by name (see `loaded_modules`); nothing for a plan that is made without running anything.
    modules: Mapping[str, Loaded] = field(default_factory=dict)
    #: The directory of the pyproject.toml that `include` and `exclude` come from; they are relative to it.
    project: Path | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    #: The locator of the job store, which is never shipped.
    job_store: str = ""
    engine: Path = ENGINE
    #: A virtual environment: all that is installed in it is shipped.
    environment: bool = field(default_factory=lambda: sys.prefix != sys.base_prefix)
    #: What nothing is known to need may come to a worker later.
    on_demand: bool = True
    prefix: str = field(default_factory=lambda: sys.prefix)
    base_prefix: str = field(default_factory=lambda: sys.base_prefix)
    site: tuple[str, ...] = field(default_factory=site_directories)
    stdlib: tuple[str, ...] = field(default_factory=standard_library)
    home: str = field(default_factory=lambda: os.path.expanduser("~"))
    #: Where scans are remembered; None: nowhere.
    memory: Path | None = field(default_factory=lambda: memory_directory(os.environ))


def loaded_modules() -> dict[str, Loaded]:
    """What `sys.modules` holds that has a place on disk.

    No attribute is asked for by the usual way: a lazy module would load itself, and a proxy may do anything.
    """
    found: dict[str, Loaded] = {}
    for name, module in list(sys.modules.items()):
        told = _attributes(module)
        file, search = _file(told), _search(told)
        if type(name) is str and (file or search):
            found[name] = Loaded(file, search)
    return found


def _attributes(module: object) -> dict[str, Any]:
    try:
        if isinstance(module, ModuleType):
            told = ModuleType.__getattribute__(module, "__dict__")
        else:
            told = object.__getattribute__(module, "__dict__")
    except Exception:  # noqa: BLE001 - a stand-in for a module may raise whatever it likes
        return {}
    return told if type(told) is dict else {}


def _file(told: dict[str, Any]) -> str:
    spec = told.get("__spec__")
    for one in (told.get("__file__"), spec.origin if isinstance(spec, ModuleSpec) and spec.has_location else None):
        if type(one) is str and one and not one.startswith("<"):
            return _absolute(one)
    return ""


def _search(told: dict[str, Any]) -> tuple[str, ...]:
    places = told.get("__path__")
    if type(places) is not list:
        return ()
    return tuple(_absolute(one) for one in places if type(one) is str)


def _absolute(path: str) -> str:
    """Nearly all are so already, and there are many."""
    is_plain = path.startswith("/") and "//" not in path and "/." not in path and not path.endswith("/")
    return path if is_plain else os.path.abspath(path)
