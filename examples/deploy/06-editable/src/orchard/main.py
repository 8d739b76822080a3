"""Both projects of the workspace are installed in place."""

from importlib.metadata import version
from typing import Any

import moil
import orchard_core
from orchard_core.trees import plant


@moil.job
def grow(kind: str) -> str:
    return plant(kind)


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, orchard_core.__file__]}


@moil.job
def versions() -> dict[str, str]:
    """Metadata of what is installed in place is there too."""
    return {name: version(name) for name in ("orchard", "orchard-core")}


@moil.job
def main(kind: str = "apple") -> dict[str, Any]:
    """Plant a tree."""
    return {"tree": grow(kind), "versions": versions(), "where": seen()}


if __name__ == "__main__":
    moil.main(main)
