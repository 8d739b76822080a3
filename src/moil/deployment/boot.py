"""The script that a scheduler is given: a shell's few lines to find a Python, the launcher, and what it must know.

The same text is both a shell script and a Python program: to a shell, ``''':'`` is a command that does nothing, and to
Python it opens a string that ends after the shell's part. Nothing of the user's stands where a shell would read it but
one quoted path.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moil.deployment import launcher

_SHELL = """#!/bin/sh
''':'
PATH="${{PATH:-/usr/local/bin:/usr/bin:/bin}}"; export PATH
for python in {candidates}; do
    if "$python" -I -S -c "" >/dev/null 2>&1; then exec "$python" -I -S "$0"; fi
done
echo "moil: on $(hostname): there is no Python ({shown}); install Python {version} on the workers, or name one with \\
--worker-python" >&2
exit {status}
'''
"""


def script(config: Mapping[str, Any]) -> str:
    """The script of a worker; `config` is what `launcher.launch` is given, as JSON."""
    return wrapped(Path(launcher.__file__).read_text(), config)


def wrapped(program: str, config: Mapping[str, Any]) -> str:
    """A script that runs `program`, a module's text, in some Python; its ``CONFIG`` is the config as JSON."""
    version = ".".join(map(str, config["python"]))
    asked = config.get("worker_python")
    candidates = [asked] if asked else [f"python{version}", "python3", f"/usr/bin/python{version}", "/usr/local/bin/python3"]
    head = _SHELL.format(
        candidates=" ".join(map(shlex.quote, candidates)),
        shown="".join(one for one in ", ".join(candidates) if one not in "\"$`'\\"),
        version=version,
        status=launcher.NO_PYTHON,
    )
    _, line, rest = program.partition("from __future__ import annotations\n")
    return f"{head}{line}CONFIG = {json.dumps(config)!r}\n{rest}"
