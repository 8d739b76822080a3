"""Which of the leader's environment variables the workers get: those on a list, and those that the user names.

The list holds what changes how a program computes and is no secret: Python's own switches, the locale, the time zone,
how many threads libraries start. Python's variables that say where things lie are left out, since they lie elsewhere
on a worker. What the user asks for by ``--env`` is always passed on, whatever it is called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from moil.errors import UsageError

_NAMES = frozenset({
    "LANG", "LANGUAGE", "TZ",
    "OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OMP_DYNAMIC", "OMP_PROC_BIND", "OMP_PLACES", "OMP_SCHEDULE", "OMP_STACKSIZE",
    "OMP_WAIT_POLICY", "OMP_MAX_ACTIVE_LEVELS",
    "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS", "MKL_DYNAMIC", "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS", "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "TBB_NUM_THREADS", "JULIA_NUM_THREADS",
    "SOURCE_DATE_EPOCH", "NO_COLOR", "FORCE_COLOR",
})  # fmt: skip
_STARTS = ("PYTHON", "LC_")
_REBUILT = frozenset({
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR",
    "PYTHONPYCACHEPREFIX", "PYTHONBREAKPOINT", "PYTHONINSPECT", "PYTHONSAFEPATH", "PYTHONNOUSERSITE", "PYTHONCASEOK",
    "PYTHONDUMPREFSFILE", "PYTHON_HISTORY", "PYTHON_PRESITE", "PYTHONCPUPROFILE",
})  # fmt: skip
_SECRET = re.compile(r"PASSW(OR)?D|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|APIKEY|(^|_)(KEY|AUTH|COOKIE)S?(_|$)")


def allowed(environ: Mapping[str, str], extra: Sequence[str]) -> dict[str, str]:
    """The variables for the workers. `extra` is what the user asks for: ``NAME`` or ``NAME=VALUE``. Raises UsageError."""
    return {name: value for name, value in environ.items() if is_allowed(name)} | asked(environ, extra)


def is_allowed(name: str) -> bool:
    """Whether a variable is passed on by itself."""
    if name in _REBUILT or looks_secret(name):
        return False
    return name in _NAMES or name.startswith(_STARTS)


def looks_secret(name: str) -> bool:
    """Whether a variable of this name may hold what nobody else should see."""
    return bool(_SECRET.search(name.upper()))


def asked(environ: Mapping[str, str], extra: Sequence[str]) -> dict[str, str]:
    """What the user asks for, the last mention of a name last. Raises UsageError if it has no value."""
    found = {}
    for one in extra:
        name, separator, value = one.partition("=")
        if not separator and name not in environ:
            raise UsageError(f"--env {name}: the variable is not set here; give it a value: --env {name}=…")
        found[name] = value if separator else environ[name]
    return found
