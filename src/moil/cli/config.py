"""Each setting of the engine, its value here and now, and where that came from.

The places, in this order: flags, MOIL_* variables, [tool.moil] in the nearest pyproject.toml, moil.toml in your
configuration directory, defaults. A flag belongs to one command line, so none is shown here.

With --json: settings, a list of objects with name, value (null where there is none), source and help.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moil.cli.parsing import add_json, print_json, verb_parser
from moil.cli.table import columns
from moil.configuration import settings_from
from moil.settings import Origin


def main(words: Sequence[str]) -> int:
    """``moil config``."""
    parser = verb_parser(__name__, __doc__)
    add_json(parser)
    given = parser.parse_args(words)
    origins = settings_from().origins
    if given.json:
        print_json({"settings": [_as_json(one) for one in origins]})
    else:
        print("\n".join(columns([(one.setting.spelling, _shown(one.value), one.source) for one in origins])))
    return 0


def _as_json(one: Origin) -> dict[str, Any]:
    value = str(one.value) if isinstance(one.value, Path) else one.value
    return {
        "name": one.setting.spelling,
        "value": list(value) if isinstance(value, tuple) else value,
        "source": one.source,
        "help": one.setting.details.get("help", ""),
    }


def _shown(value: object) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
