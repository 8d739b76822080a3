"""A whole program in one file: ``python -m zipapp app``, then ``python app.pyz``."""

import importlib
import pkgutil
from typing import Any

import moil
import recipes


@moil.job
def bake(name: str) -> str:
    return importlib.import_module(f"recipes.{name}").bake()


@moil.job
def flour() -> str:
    """Data in the archive."""
    found = pkgutil.get_data("recipes", "flour.txt")
    return found.decode().strip() if found else ""


@moil.job
def seen() -> dict[str, Any]:
    """Where the code was found."""
    return {"files": [__file__, recipes.__file__]}


@moil.job
def main(name: str = "bread") -> dict[str, Any]:
    """Bake."""
    return {"baked": bake(name), "flour": flour(), "where": seen()}


if __name__ == "__main__":
    moil.main(main)
