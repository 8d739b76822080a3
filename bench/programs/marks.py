"""What a job of scenario F does: it takes a while, and leaves a mark, so that whoever measures sees which jobs ran, and when."""

import os
import time


def mark(i):
    time.sleep(float(os.environ["BENCH_SLEEP"]))
    line = os.open(os.environ["BENCH_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(line, f"{i} {time.time()}\n".encode())
    os.close(line)
    return i
