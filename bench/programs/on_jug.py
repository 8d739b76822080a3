"""jug, its files in the work directory, a `jug execute` for each core: no leader, and user code in jug's own processes.

C: the tree is laid out beforehand. E: bytes pass through jug's store, which compresses them (they are one repeated byte).
"""

import os
import subprocess
import sys

import jug

TASKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "jugfile.py")

if __name__ == "__main__":
    scenario, n, home = sys.argv[1], sys.argv[2], os.path.abspath("jugdir")
    # Its processes do not look for modules beside the tasks.
    os.environ |= {"BENCH_SCENARIO": scenario, "BENCH_SIZE": n, "PYTHONPATH": os.path.dirname(TASKS)}
    command = f"{os.path.dirname(sys.executable)}/jug"
    if "BENCH_RESUME" in os.environ:
        subprocess.run([command, "cleanup", "--locks-only", TASKS, f"--jugdir={home}"], stdout=subprocess.DEVNULL, check=True)
    execute = [command, "execute", TASKS, f"--jugdir={home}", "--wait-cycle-time=1", "--nr-wait-cycles=100"]
    count = 1 if scenario in "BD" else int(os.environ["BENCH_WORKERS"])
    for process in [subprocess.Popen(execute, stdout=subprocess.DEVNULL) for _ in range(count)]:
        process.wait()
    _, space = jug.init(TASKS, home)
    print("RESULT", jug.value(space["result"]), flush=True)
