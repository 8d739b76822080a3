"""What a scientist imports, on a machine that has none of it."""

import os
import shutil
import sys
from pathlib import Path

import moil


@moil.job(memory="500 MiB")
def picture(points: int) -> dict[str, object]:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot
    import numpy
    import pandas

    table = pandas.DataFrame({"x": numpy.arange(points), "y": numpy.arange(points) ** 2})
    table.plot(x="x", y="y").figure.savefig("plot.png")
    return {
        "host": os.uname().nodename,
        "sum": int(table.y.sum()),
        "bytes": Path("plot.png").stat().st_size,
        "from": str(Path(numpy.__file__).parent),
        "prefix": sys.prefix,
        "pip": shutil.which("pip", path="/usr/bin:/bin:/usr/local/bin"),
    }


@moil.job
def main(points: int = 10) -> dict[str, object]:
    return picture(points)


if __name__ == "__main__":
    moil.main(main)
