"""What would be shipped to the workers of a program, why, what would not, and by which rule.

  moil deploy plan main.py
  moil deploy plan -m workflow.main --why data/reference.csv

Nothing of the program is run, and nothing is written. So only what its import statements say is known: a run also ships
what the program has loaded by other means.

With --json:
  program       the script or the module
  entry         module, script (relative to its root), root (its number)
  python        the version that the workers need
  native        what native code was built for: machine, system, libc, package (an example); all "" if there is none
  size          bytes of everything
  roots         entries of the import path: origin, inner, after_site, archive, reason
  units         name, kind (code; distribution; on-demand: a distribution that workers fetch when they import it; front: what
                of those is always there), root (its number, or -1), version, size, reason, and files, which are objects
                with path, origin, kind (f: file, x: executable, l: link, d: directory), size and reason
  left_out      path, rule, size
  remarks       what should be known
  unresolved    names that are imported and not found, and who imports them
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from moil.cli.parsing import Parser, add_json, print_json
from moil.cli.table import columns
from moil.configuration import settings_from
from moil.core.requirements import format_size
from moil.deployment import native
from moil.deployment.discover import Request, discover, why
from moil.deployment.plan import LeftOut, Plan, PlannedUnit, Source, UnitKind
from moil.engine_settings import EngineSettings
from moil.record import as_dict

FILES = 12
"""So many files of a unit are shown."""


def main(words: Sequence[str]) -> int:
    """``moil deploy plan SCRIPT``."""
    parser = Parser(prog="moil deploy plan", description=__doc__)
    parser.add_argument("-m", dest="is_module", action="store_true", help="SCRIPT is the name of a module")
    parser.add_argument("script", metavar="SCRIPT", help="the program: a script, an archive, a directory, or a module")
    parser.add_argument("--why", metavar="PATH", help="say only why this file is shipped, or why not")
    add_json(parser)
    given = parser.parse_args(words)
    plan = discover(_request(given.script, is_module=given.is_module))
    if given.why:
        print(why(plan, given.why))
    elif given.json:
        print_json(as_json(plan, given.script))
    else:
        print("\n".join(_report(plan, given.script)))
    return 0


def _request(program: str, *, is_module: bool) -> Request:
    settings = settings_from()[EngineSettings]
    script = "" if is_module else os.path.abspath(program)
    return Request(
        module=program if is_module else "",
        script=script,
        path=tuple(os.path.abspath(one) for one in (*_first(script), *sys.path[1:])),
        include=settings.deploy_include,
        exclude=settings.deploy_exclude,
        job_store=settings.job_store or "",
        on_demand=settings.deploy_on_demand,
    )


def _first(script: str) -> Iterator[str]:
    """What Python would put in front of the import path, in place of what is there for this command."""
    if sys.flags.safe_path:
        yield sys.path[0]
    elif not script:
        yield os.getcwd()
    else:
        yield script if os.path.isdir(script) else os.path.dirname(os.path.realpath(script))


def as_json(plan: Plan, program: str) -> dict[str, Any]:
    """All there is to say, as documented above."""
    return {
        "program": program,
        "entry": as_dict(plan.entry),
        "python": _python(),
        "native": as_dict(native.of_plan(plan)),
        "size": plan.size,
        "roots": [as_dict(one) for one in plan.roots],
        "units": [_unit_as_json(one) for one in plan.units],
        "left_out": [{"path": one.path, "rule": one.rule, "size": one.size} for one in plan.left_out],
        "remarks": list(plan.remarks),
        "unresolved": plan.unresolved,
    }


def _unit_as_json(unit: PlannedUnit) -> dict[str, Any]:
    names = ("path", "origin", "kind", "size", "reason")
    return {
        **{name: getattr(unit, name) for name in ("name", "kind", "root", "version", "size", "reason")},
        "files": [{name: getattr(one, name) for name in names} for one in unit.sources],
    }


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _report(plan: Plan, program: str) -> Iterator[str]:
    code = [one for one in plan.units if one.kind is UnitKind.code]
    environment = [one for one in plan.units if one.kind in (UnitKind.distribution, UnitKind.front)]
    late = [one for one in plan.units if one.kind is UnitKind.on_demand]
    yield f"{program} needs {_needs(plan)}, and {format_size(plan.size)} to be shipped:"
    yield from columns(
        [
            ("its own files", str(sum(len(one.sources) for one in code)), _size(code)),
            ("installed distributions", str(sum(one.is_installed for one in environment)), _size(environment)),
            *([("those that come when imported", str(len(late)), _size(late))] if late else []),
        ],
        right=(1, 2),
        indent=2,
    )
    for number, root in enumerate(plan.roots):
        behind = ", behind the site directories" if root.after_site else ""
        yield from ["", f"{os.path.join(root.origin, root.inner) if root.inner else root.origin} ({root.reason}{behind})"]
        for unit in (one for one in code if one.root == number):
            yield f"  {unit.name}, {format_size(unit.size)}"
            yield from _files(unit)
    yield from _distributions("Installed distributions", environment)
    yield from _distributions("Installed distributions that a worker fetches when it first imports them", late)
    yield from _left_out(plan.left_out)
    if plan.remarks:
        yield from ["", "Note"]
        yield from (f"  {one}" for one in plan.remarks)


def _distributions(title: str, units: Sequence[PlannedUnit]) -> Iterator[str]:
    if units:
        yield from ["", title]
        rows = [(one.name, one.version, format_size(one.size), one.reason) for one in units]
        yield from columns(rows, right=(2,), indent=2)


def _size(units: Sequence[PlannedUnit]) -> str:
    return format_size(sum(one.size for one in units))


def _needs(plan: Plan) -> str:
    built = native.of_plan(plan)
    if not built.machine:
        return f"Python {_python()}"
    return f"Python {_python()} on {' '.join(filter(None, [built.machine, built.system, built.libc]))} ({built.package})"


def _files(unit: PlannedUnit) -> Iterator[str]:
    shown: Sequence[Source] = unit.sources if len(unit.sources) <= FILES else unit.sources[: FILES - 1]
    rows = [(one.path + _mark(one), format_size(one.size), one.reason) for one in shown]
    if rows:
        yield from columns(rows, right=(1,), indent=4)
    if len(unit.sources) > len(shown):
        yield f"    and {len(unit.sources) - len(shown)} more"


def _mark(source: Source) -> str:
    return {"l": f" -> {source.target}", "d": "/"}.get(source.kind, "")


def _left_out(left_out: Sequence[LeftOut]) -> Iterator[str]:
    if left_out:
        yield from ["", "Left out"]
        yield from columns([(one.path, format_size(one.size) if one.size else "", one.rule) for one in left_out], indent=2)
