"""A job that asks for too little memory, and gets more when it is tried again."""

import time

import moil


# [growth]
@moil.job(memory="100 MiB", retries=1)
def fill(mebibytes: int) -> str:
    """Use some memory for a moment."""
    block = bytearray(mebibytes * 1024**2)
    time.sleep(0.5)
    now = moil.current()
    return f"{len(block) >> 20} MiB fit into {now.requirements.memory >> 20} MiB in attempt {now.attempt}"
# [/growth]


if __name__ == "__main__":
    moil.main(fill)
