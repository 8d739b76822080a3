"""Why a file is shipped, or why not; and why a module will not be found on a worker. With the line that mends it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from moil.deployment.plan import LeftOut, Plan
from moil.deployment.rules import base_of
from moil.deployment.tree import is_below


def why(plan: Plan, path: str) -> str:
    """One sentence about a path at home, or in a unit."""
    absolute = os.path.abspath(path)
    spellings = {absolute, os.path.join(os.path.realpath(os.path.dirname(absolute)), os.path.basename(absolute))}
    for unit, source in plan.sources():
        if source.origin in spellings or source.path == path:
            where = unit.name if not unit.version else f"{unit.name} {unit.version}"
            return f"{path} is shipped in {where!r}: {source.reason or unit.reason}"
    left_out = _left_out(plan.left_out, spellings)
    if left_out:
        rule = left_out.rule if left_out.path.rstrip("/") in spellings else f"of {left_out.path}, {left_out.rule}"
        return f"{path} is left out: {rule}"
    if os.path.isdir(absolute):
        below = sum(1 for _, source in plan.sources() if is_below(source.origin, absolute))
        if below:
            return f"{path} is a directory of which {below} files are shipped"
    return _unknown(plan, path, absolute)


def _left_out(every: Iterable[LeftOut], spellings: set[str]) -> LeftOut | None:
    fitting = [one for one in every if any(is_below(path, one.path.rstrip("/")) for path in spellings)]
    return max(fitting, key=lambda one: len(one.path), default=None)


def _unknown(plan: Plan, path: str, absolute: str) -> str:
    if not os.path.lexists(absolute):
        return f"{path} is not there"
    roots = [root.origin for root in plan.roots if is_below(absolute, root.origin)]
    if not roots:
        listed = ", ".join(root.origin for root in plan.roots) or "none"
        return f"{path} is left out: it lies in no root of the import path that holds code of the program ({listed})"
    return f"{path} is left out: not reached by any import; {_mend(absolute, roots[0])}"


def _mend(path: str, root: str) -> str:
    shown = os.path.relpath(path, base_of(None, root))
    return f"add it to [tool.moil] of pyproject.toml: deploy-include = [{path if shown == '.' else shown!r}]"


def why_missing(plan: Plan, name: str, path: Iterable[str]) -> str:
    """Why a module is not shipped, in words that follow a colon; `path` is the import path at home."""
    for candidate in _candidates(name, path):
        found = _left_out(plan.left_out, {candidate})
        if found is not None:
            return f"{candidate} is left out, because {found.rule}"
    for candidate in _candidates(name, path):
        return f"{candidate} is there, but no import in the program's own files reaches it; {_mend(candidate, candidate)}"
    who = plan.unresolved.get(name) or plan.unresolved.get(name.partition(".")[0])
    if who:
        return (
            f"it is {who}, and is neither in a root of the import path nor installed; install it, or put it on the path "
            "(if the program makes it at run time, import it inside the job)"
        )
    return "no file of that name is on the import path; if the program makes it at run time, import it inside the job"


def _candidates(name: str, path: Iterable[str]) -> list[str]:
    """Files and directories that the name may mean."""
    parts = name.split(".")
    found: list[str] = []
    for entry in path:
        base = os.path.join(entry, *parts)
        found += [one for one in (base, f"{base}.py") if os.path.exists(one)]
    return found
