"""An opinion on whether a path is shipped."""

from __future__ import annotations

from moil.record import record

NAME = ".moilignore"


@record(kw_only=False)
class Verdict:
    """`named`: it was called by its very name, so it is meant even if it looks like a secret."""

    included: bool
    rule: str
    named: bool = False
