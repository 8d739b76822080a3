"""Imports that no look at the program finds: by a name that is put together, and in another interpreter."""

import importlib
import importlib.metadata
import os
import subprocess
import sys

import moil

MODULE = "numpy"


@moil.job(memory="500 MiB")
def main() -> dict[str, object]:
    numpy = importlib.import_module(MODULE)
    table = "import pandas; print(pandas.Series(range(5)).sum())"
    return {
        "host": os.uname().nodename,
        "numpy": int(numpy.arange(5).sum()),
        "pandas": int(subprocess.check_output([sys.executable, "-c", table])),
        "matplotlib": importlib.metadata.version("matplotlib"),
    }


if __name__ == "__main__":
    moil.main(main)
