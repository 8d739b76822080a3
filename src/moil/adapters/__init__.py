"""Back-ends: each fulfils one port, and none knows another. `keys`, `disk` and `frames` are what several share."""
