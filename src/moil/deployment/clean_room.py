"""The clean room: before anything is queued, the program is brought to a worker's Python on the leader's own machine.

It takes the way that workers take: the launcher, the engine's archive out of the store, the machine's cache, the view,
the user's Python in the worker's order of the import path (`moil.deployment.rehearsal` is the other end). So what would
fail on a worker after an hour in a queue fails here, in a second; and here there is somebody who knows what lies at home
and why it was not shipped.

What passed is remembered on this machine by deployment, and by what the call refers to, so a second run does not pay for it,
whatever it is to work on.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from moil.deployment import rehearsal
from moil.deployment.plan import Plan
from moil.deployment.references import references
from moil.errors import DeploymentError
from moil.record import record

PATIENCE = 300.0
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR")


@record
class Rehearsal:
    """What is to be tried."""

    #: Makes the launcher's script of further words for it.
    script: Callable[[Mapping[str, Any]], str]
    python: str
    plan: Plan
    deployment: str
    modules: Sequence[str]
    #: The pickled call of the main job.
    call: bytes
    #: Directories at home that are not to be found.
    forbidden: Sequence[str]
    #: Where it is remembered that it went well; None: nowhere.
    memory: Path | None
    #: What is known at home of a module that is missing: why it was not shipped, and the line that ships it.
    explain: Callable[[str], str]


def rehearse(what: Rehearsal) -> None:
    """Try it. Raises DeploymentError, which names what is missing, why, and the cure."""
    note = None if what.memory is None else what.memory / _name(what)
    if note is not None and note.exists():
        return
    try:
        finding = _tried(what)
    except OSError as error:
        raise DeploymentError(
            f"the clean room cannot be set up: {error.strerror} ({error.filename}); free some space in "
            f"{tempfile.gettempdir()}, or set TMPDIR"
        ) from error
    if finding.error:
        raise DeploymentError(_told(what, finding))
    if note is not None:
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()


def _name(what: Rehearsal) -> str:
    told = "\0".join([what.deployment, what.python, *what.modules])
    names = references(what.call) if what.call else frozenset()
    asked = what.call if names is None else "\0".join(sorted(names)).encode()
    return hashlib.sha256(told.encode() + b"\0\0" + asked).hexdigest()


def _tried(what: Rehearsal) -> rehearsal.Finding:
    words = {
        "modules": list(what.modules),
        "call": base64.b64encode(what.call).decode(),
        "forbidden": list(what.forbidden),
    }
    with tempfile.TemporaryDirectory(prefix="moil-clean-room-") as folder:
        script = Path(folder, "script")
        script.write_text(what.script({"rehearsal": words}))
        environ = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
        try:
            done = subprocess.run(
                [what.python, "-I", "-S", str(script)],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeploymentError(
                f"the program took longer than {PATIENCE:.0f} s to be imported in the clean room; does it do its work while "
                "it is imported? (--no-clean-room leaves the check out)"
            ) from None
    found = rehearsal.heard(done.stdout)
    if found is not None:
        return found
    last = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"it ended with exit status {done.returncode}"]
    return rehearsal.Finding(error=last[0].removeprefix("moil: "))


def _told(what: Rehearsal, finding: rehearsal.Finding) -> str:
    """The message: what, who asked for it, why it is not there, the cure."""
    if not finding.missing:
        return f"the program cannot be started on a worker: {finding.error}{_trace(what.plan, finding.traceback)}"
    asked = f", which {_at_home(what.plan, finding.asked_by)} imports," if finding.asked_by else ""
    lies = f" (it lies in {finding.at_home})" if finding.at_home else ""
    return f"module {finding.missing}{asked} will not be found on a worker{lies}: {what.explain(finding.missing)}"


def _trace(plan: Plan, trace: str) -> str:
    if not trace:
        return ""
    shown = re.sub(r'File "([^"]+)"', lambda found: f'File "{_origin(plan, found[1])}"', trace.rstrip())
    return (
        "; it is imported there without your files, variables and working directory: move this into a job, or give it what "
        f"it needs with --env or as a File\n{shown}"
    )


def _at_home(plan: Plan, place: str) -> str:
    """A place in the clean room, as the user knows it."""
    file, _, line = place.rpartition(":")
    return f"{_origin(plan, file)}:{line}"


def _origin(plan: Plan, file: str) -> str:
    """The file at home of a file in a view (see `moil.deployment.view`)."""
    places = ((f"/roots/{unit.root}/{one.path}", one.origin) for unit, one in plan.sources() if one.origin)
    return next((origin for ending, origin in places if file.endswith(ending)), file)
