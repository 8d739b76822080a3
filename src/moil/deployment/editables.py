"""Distributions that are installed as they stand in their project (``pip install -e``): where their code is.

There are four ways, and all are read and none is executed: a plain line in a ``.pth`` file names a directory (hatch,
uv_build, setuptools with a src layout, flit, poetry); setuptools' finder module holds two literal dictionaries; an
``.egg-link`` names a directory; and ``direct_url.json`` names the project when nothing else says more. A line of a
``.pth`` that begins with ``import`` is a program, and is left to the interpreter that has run it.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from moil.deployment.metadata import Distribution

_FINDER = re.compile(r"^__editable___.*_finder\.py$")
_WORD = re.compile(r"[\w.]+")


@dataclass(frozen=True, kw_only=True, eq=False)
class Editable:
    """A distribution whose code lies elsewhere."""

    name: str
    version: str
    distribution: Distribution
    #: Directories that it puts on the import path, behind the site directory.
    roots: tuple[str, ...] = ()
    #: Import names, dotted or not, and where they are: a package's directory, or a module's file.
    mapping: Mapping[str, str] = field(default_factory=dict)
    #: Names of namespace packages, and the directories that are their portions.
    namespaces: Mapping[str, list[str]] = field(default_factory=dict)
    #: Files of the site directory that bring this about: not to be shipped.
    hooks: frozenset[str] = frozenset()
    #: What should be said of it; "" if all is understood.
    remark: str = ""

    @property
    def tops(self) -> frozenset[str]:
        """The names at the top of the import system that its finder knows; those in `roots` are not among them."""
        return frozenset(name.partition(".")[0] for name in (*self.mapping, *self.namespaces))


def pth_lines(path: str) -> Iterator[str]:
    """The lines of a ``.pth`` file that name directories, as written."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except OSError:
        return
    for line in map(str.rstrip, text.splitlines()):
        if line and not line.startswith(("#", "import ", "import\t")):
            yield line


def pth_directories(path: str, site: str) -> Iterator[str]:
    """The directories that a ``.pth`` file puts on the import path and that are there."""
    for line in pth_lines(path):
        found = os.path.normpath(os.path.join(site, line))
        if os.path.exists(found):
            yield found


def editable_of(distribution: Distribution) -> Editable | None:
    """How the distribution is installed in place; None if it is not."""
    if distribution.link:
        return _editable(distribution, roots=(distribution.link,))
    top = [path for path in distribution.record or () if "/" not in path]
    hooks = [path for path in top if path.endswith(".pth")]
    outside = tuple(one for hook in hooks for one in _outside(distribution, hook))
    marked = any(path.startswith("__editable__") for path in top)
    if not (outside or marked or is_marked(distribution.direct_url)):
        return None
    return _by_hooks(distribution, top, hooks, outside)


def is_marked(direct_url: Mapping[str, Any]) -> bool:
    """Whether ``direct_url.json`` says that the installation is editable."""
    info = direct_url.get("dir_info")
    return isinstance(info, dict) and info.get("editable") is True


def finder_tables(source: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The MAPPING and NAMESPACES of a finder module that setuptools has written."""
    found: dict[str, Any] = {}
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}, {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            if isinstance(target, ast.Name) and target.id in ("MAPPING", "NAMESPACES"):
                found[target.id] = _literal(statement.value)
    return found.get("MAPPING", {}), found.get("NAMESPACES", {})


def _literal(value: ast.expr | None) -> dict[str, Any]:
    try:
        found = ast.literal_eval(value) if value is not None else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _by_hooks(distribution: Distribution, top: list[str], hooks: list[str], roots: tuple[str, ...]) -> Editable:
    mapping: dict[str, str] = {}
    namespaces: dict[str, list[str]] = {}
    helpers = _mentioned(distribution, top, hooks)
    for name in filter(_FINDER.match, helpers):
        known, spaces = finder_tables(_read(os.path.join(distribution.site, name)))
        mapping |= {key: place for key, value in known.items() if (place := _place(value))}
        namespaces |= {key: list(value) for key, value in spaces.items()}
    remark = ""
    if not (roots or mapping or namespaces):
        roots = tuple(_project_roots(distribution))
        remark = (
            f"{distribution.name} is installed in place by a hook of its build system that cannot be read; "
            f"its code is looked for in {', '.join(roots) or 'no directory'}: install it without -e if that is wrong"
        )
    return _editable(
        distribution, roots=roots, mapping=mapping, namespaces=namespaces, hooks=frozenset((*hooks, *helpers)), remark=remark
    )


def _editable(distribution: Distribution, **fields: Any) -> Editable:
    return Editable(name=distribution.name, version=distribution.version, distribution=distribution, **fields)


def _outside(distribution: Distribution, hook: str) -> Iterator[str]:
    site = distribution.site
    for directory in pth_directories(os.path.join(site, hook), site):
        if directory != site and not directory.startswith(site + os.sep):
            yield directory


def _mentioned(distribution: Distribution, top: list[str], hooks: list[str]) -> list[str]:
    """Modules beside the ``.pth`` files that their lines import."""
    words = {word for hook in hooks for word in _WORD.findall(_read(os.path.join(distribution.site, hook)))}
    return [path for path in top if (path.endswith(".py") and path.removesuffix(".py") in words) or _FINDER.match(path)]


def _place(path: str) -> str:
    """What the finder would find: a module is noted without its suffix."""
    return next((one for one in (path, f"{path}.py") if os.path.exists(one)), "")


def _project_roots(distribution: Distribution) -> Iterator[str]:
    """Where a project that says nothing else most likely has its packages."""
    url = urlsplit(str(distribution.direct_url.get("url", "")))
    project = unquote(url.path) if url.scheme == "file" else ""
    if project and os.path.isdir(project):
        source = os.path.join(project, "src")
        yield source if os.path.isdir(source) else project


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
