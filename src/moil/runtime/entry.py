"""Load the user's program the way a worker needs it: everything but the guarded block.

The rule is that of `multiprocessing.spawn`: the main module is run under a private name, so that ``if __name__ ==
"__main__"`` is false, and is known as ``__main__`` as well, so that what was pickled at home is found. The module object
is the one its functions live in; ``__package__`` and ``__spec__`` are kept, so that relative imports work under ``-m``.
"""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from typing import Any

from moil.authoring.context import ambient
from moil.errors import UsageError
from moil.record import as_dict, record

PRIVATE_NAME = "__moil_main__"


@record
class Entry:
    """What the user started. `module` for ``python -m``, `script` for a file; neither: a prompt, ``-c``, a notebook."""

    script: str = ""
    module: str = ""
    path: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()

    def header(self) -> dict[str, Any]:
        """As plain data."""
        return as_dict(self)


def from_header(header: dict[str, Any]) -> Entry:
    """From plain data."""
    return Entry(**{**header, "path": tuple(header["path"]), "argv": tuple(header["argv"])})


def find() -> Entry:
    """The program that is running in this process."""
    main: Any = sys.modules["__main__"]
    path = tuple(os.path.abspath(one) if one else os.getcwd() for one in sys.path)
    spec: ModuleSpec | None = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    if file is None or file.startswith("<") or (_installed(file) and not _defines_something(main)):
        return Entry(path=path, argv=tuple(sys.argv))
    if spec is not None and spec.name == "__main__":
        return Entry(script=path[0], path=path, argv=tuple(sys.argv))
    if spec is not None and spec.name != PRIVATE_NAME:
        return Entry(module=spec.name, path=path, argv=tuple(sys.argv))
    return Entry(script=os.path.abspath(file), path=path, argv=tuple(sys.argv))


def _installed(file: str) -> bool:
    """A tool of the environment (pytest, a console script), or a module of it that was started with ``-m``."""
    where = os.path.abspath(file)
    if not where.startswith((sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)):
        return False
    import sysconfig

    places = (sysconfig.get_path(name) for name in ("scripts", "purelib", "platlib", "stdlib", "platstdlib"))
    return where.startswith(tuple(os.path.join(place, "") for place in places))


def _defines_something(main: types.ModuleType) -> bool:
    """Whether workers need it: tools start something that lies elsewhere."""
    return any(getattr(one, "__module__", "") == "__main__" for one in list(vars(main).values()) if callable(one))


def alias_main() -> None:
    """At home: let what workers pickled under the private name be found."""
    sys.modules.setdefault(PRIVATE_NAME, sys.modules["__main__"])


def load(entry: Entry) -> types.ModuleType | None:
    """Run the main module under its private name, once. Raises whatever the module raises, and UsageError."""
    known = sys.modules.get(PRIVATE_NAME)
    if known is not None or not (entry.script or entry.module):
        return known
    with _as_main() as module, ambient.load(entry.module or entry.script):
        code, attributes = _module_code(entry.module) if entry.module else _script_code(entry.script)
        module.__dict__.update(attributes)
        exec(code, module.__dict__)  # noqa: S102 - it is the user's own program
        return module


@contextmanager
def _as_main() -> Iterator[types.ModuleType]:
    """A fresh main module; the old one comes back if loading fails."""
    module = types.ModuleType(PRIVATE_NAME)
    before = sys.modules.get("__main__")
    sys.modules[PRIVATE_NAME] = sys.modules["__main__"] = module
    try:
        yield module
    except BaseException:
        del sys.modules[PRIVATE_NAME]
        if before is not None:
            sys.modules["__main__"] = before
        raise


def _module_code(name: str) -> tuple[types.CodeType, dict[str, Any]]:
    spec = importlib.util.find_spec(name)
    code = spec.loader.get_code(name) if spec and hasattr(spec.loader, "get_code") else None  # type: ignore[union-attr]
    if spec is None or code is None:
        raise UsageError(f"module {name} cannot be found; sys.path is {sys.path}")
    return code, {"__file__": spec.origin, "__package__": spec.parent, "__spec__": spec, "__loader__": spec.loader}


def _script_code(path: str) -> tuple[types.CodeType, dict[str, Any]]:
    inner: Any = pkgutil.get_importer(path) if not path.endswith(".py") else None
    spec = inner.find_spec("__main__") if inner is not None else None
    if spec is not None:  # an archive, or a directory, that is run as such
        code = spec.loader.get_code("__main__")
        return code, {"__file__": spec.origin, "__package__": "", "__spec__": None, "__loader__": spec.loader}
    try:
        with open(path, "rb") as source:
            code = compile(source.read(), path, "exec", dont_inherit=True)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    return code, {"__file__": path, "__package__": None, "__spec__": None, "__builtins__": __builtins__}
