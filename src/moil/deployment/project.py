"""What a program's own project says about what is shipped, wherever the program is started from.

Settings come from the pyproject.toml of the directory that somebody is in. What belongs to a program does not depend on
that: so where the settings say nothing, the two lists of the program's own project count. No other key is looked at.
"""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from typing import Any

from moil.errors import UsageError

FILE = "pyproject.toml"
INCLUDE, EXCLUDE = "deploy-include", "deploy-exclude"


def patterns(directory: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is to be included and excluded, as the file in this directory says. Raises UsageError."""
    path = Path(directory, FILE)
    try:
        with path.open("rb") as file:
            table: Any = importlib.import_module("tomllib").load(file).get("tool", {}).get("moil", {})
        return _listed(table, INCLUDE), _listed(table, EXCLUDE)
    except OSError:
        return (), ()
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{path} cannot be read: {error}; correct its [tool.moil]") from None


def _listed(table: dict[str, Any], name: str) -> tuple[str, ...]:
    found = table.get(name, table.get(name.replace("-", "_"), ()))
    words = shlex.split(found) if isinstance(found, str) else list(found)
    if not all(isinstance(one, str) for one in words):
        raise TypeError(f"{name} is no list of patterns")
    return tuple(words)
