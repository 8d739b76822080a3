"""What would be shipped to workers, and what was.

  moil deploy plan main.py                  what would be shipped, and why; nothing of the program is run
  moil deploy plan -m workflow.main --why data/reference.csv
  moil deploy show STORE                    what a run was started with
  moil deploy diff STORE [OTHER]            what has changed
  moil deploy export STORE DIRECTORY        the files themselves

moil deploy plan --help, and so on, tells more.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from moil.cli.parsing import verb_parser
from moil.errors import UsageError
from moil.settings import nearest

WORDS = {
    "plan": ("moil.cli.deploy_plan", "main"),
    "show": ("moil.cli.deployed", "show"),
    "diff": ("moil.cli.deployed", "diff"),
    "export": ("moil.cli.deployed", "export"),
}
"""What stands behind ``moil deploy``, and the function that does it."""


def main(words: Sequence[str]) -> int:
    """``moil deploy WORD …``."""
    if words and words[0] in WORDS:
        module, name = WORDS[words[0]]
        status: int = getattr(importlib.import_module(module), name)(words[1:])
        return status
    parser = verb_parser(__name__, __doc__)
    parser.usage = f"moil deploy {{{','.join(WORDS)}}} …"
    if words and not words[0].startswith("-"):
        raise UsageError(f"there is no moil deploy {words[0]}{nearest(words[0], WORDS)}; see moil deploy --help")
    parser.parse_args(words)
    parser.print_help()
    return 0
