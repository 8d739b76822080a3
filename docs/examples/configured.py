"""Says with which settings a job runs."""

import os

import moil


# [job]
@moil.job
def main() -> str:
    """What a job that asks for nothing is given."""
    given = moil.current().requirements
    return f"{given.cores:g} core, {given.memory >> 20} MiB, REFERENCE={os.environ.get('REFERENCE', 'none')}"
# [/job]


if __name__ == "__main__":
    moil.main(main)
