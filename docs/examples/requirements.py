"""Ask for cores, memory, disk, walltime and accelerators."""

import os

import moil
from moil import File


# [fixed]
@moil.job(cores=2, memory="1 GiB", disk="100 MiB", walltime="10 min")
def align(reads: File) -> str:
    given = moil.current().requirements
    return f"cores {given.cores:g}, memory {given.memory >> 20} MiB, walltime {given.walltime:g} s"
# [/fixed]


# [call]
@moil.job
def align_carefully(reads: File) -> str:
    return align.options(cores=1, walltime="1 h")(reads)
# [/call]


# [promised]
@moil.job
def estimate(reads: File) -> int:
    """The memory, in bytes, that these reads will need."""
    return 200 * 1024**2 + 50 * reads.size


@moil.job
def align_by_size(reads: File) -> str:
    return align.options(memory=estimate(reads), cores=1)(reads)
# [/promised]


# [gpu]
@moil.job(accelerators="gpu:1")
def train(fold: int) -> str:
    return f"fold {fold} sees device {os.environ['CUDA_VISIBLE_DEVICES']}"
# [/gpu]


@moil.job
def main(reads: File, gpus: bool = False) -> list[str]:
    """Say what jobs were given."""
    if gpus:
        return [train(fold) for fold in range(2)]
    return [align(reads), align_carefully(reads), align_by_size(reads)]


if __name__ == "__main__":
    moil.main(main)
