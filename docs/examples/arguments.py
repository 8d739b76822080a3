"""Every kind of parameter that moil.main makes a command line of."""

from enum import Enum
from pathlib import Path
from typing import Literal

import moil
from moil import File


class Mode(Enum):
    """How to go about it."""

    FAST = 1
    EXACT = 2


# [signature]
@moil.job
def main(
    reference: File,
    reads: list[File],
    *,
    sample: str = "none",
    chunks: int = 4,
    quality: float = 0.5,
    trim: bool = False,
    mode: Mode = Mode.FAST,
    strand: Literal["plus", "minus"] = "plus",
    work: Path = Path("work"),
    limits: tuple[int, int] = (0, 100),
    labels: dict[str, str] | None = None,
) -> dict[str, object]:
    """Align reads to a reference.

    Args:
        reads: what to align
        quality: the least quality of a read
    """
    return {"reads": [one.name for one in reads], "mode": mode, "limits": limits, "labels": labels, "trim": trim}
# [/signature]


if __name__ == "__main__":
    moil.main(main)
