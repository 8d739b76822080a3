"""Jobs that need something that may not be there yet."""

from pathlib import Path

import moil


# [jobs]
@moil.job(memory="64 MiB")
def measure(sample: int) -> int:
    print("measured", sample)
    return sample * sample


@moil.job(memory="64 MiB", retries=0)
def calibrate(values: list[int], constants: Path) -> float:
    return sum(values) * float(constants.read_text())
# [/jobs]


@moil.job(memory="64 MiB")
def main(constants: Path, samples: int = 4) -> float:
    """Measure some samples, and calibrate what was measured by CONSTANTS."""
    return calibrate([measure(sample) for sample in range(samples)], constants)


if __name__ == "__main__":
    moil.main(main)
