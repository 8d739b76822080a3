"""What one machine has to give, and what of it is taken."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from moil.core.requirements import MIB, Ceiling, Requirements
from moil.record import record

_ROUNDING = 1e-9


@record(kw_only=False)
class Grant:
    """What an attempt has been given; `devices` are the numbers of its accelerators."""

    requirements: Requirements
    devices: tuple[int, ...]


class Machine:
    """Cores, memory, disk and accelerators of this machine, as far as a run may use them."""

    def __init__(self, ceiling: Ceiling) -> None:
        self.ceiling = ceiling
        self._cores = ceiling.cores or 1.0
        self._memory = ceiling.memory or 0
        self._disk = ceiling.disk or 0
        self._devices = list(range(ceiling.accelerators or 0))

    @property
    def full(self) -> bool:
        """Whether not even a part of a core is free."""
        return self._cores < _ROUNDING

    def take(self, wanted: Requirements, *, share_cores: bool = False) -> Grant | None:
        """Give what is wanted, or None if it is not all free now; with `share_cores`, cores that are taken will do."""
        devices = sum(one.count for one in wanted.accelerators)
        if (
            (wanted.cores > self._cores + _ROUNDING and not share_cores)
            or wanted.memory > self._memory
            or wanted.disk > self._disk
            or devices > len(self._devices)
        ):
            return None
        self._cores -= wanted.cores
        self._memory -= wanted.memory
        self._disk -= wanted.disk
        given, self._devices = self._devices[:devices], self._devices[devices:]
        return Grant(wanted, tuple(given))

    def give_back(self, grant: Grant) -> None:
        """The attempt is over."""
        self._cores += grant.requirements.cores
        self._memory += grant.requirements.memory
        self._disk += grant.requirements.disk
        self._devices = sorted([*self._devices, *grant.devices])


def measure(work: Path, *, cores: float | None, memory: int | None, disk: int | None, accelerators: int | None) -> Ceiling:
    """What this machine has; what is given by name is taken instead of what is found."""
    return Ceiling(
        cores=cores if cores is not None else float(count_cores()),
        memory=memory if memory is not None else _memory(),
        disk=disk if disk is not None else _free_space(work),
        accelerators=accelerators if accelerators is not None else _count_gpus(),
    )


def _free_space(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def count_cores() -> int:
    """The cores this process may use: its affinity, within its cgroup's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota, period in _quotas():
        if quota > 0:
            allowed = min(allowed, max(1, round(quota / period)))
    return allowed


def _quotas() -> list[tuple[int, int]]:
    found = []
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        found.append((int(quota), int(period)))
    with contextlib.suppress(OSError, ValueError):
        folder = Path("/sys/fs/cgroup/cpu")
        quota, period = (folder / "cpu.cfs_quota_us").read_text(), (folder / "cpu.cfs_period_us").read_text()
        found.append((int(quota), int(period)))
    return found


def _memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(limit).read_text()))
    return max(total, 64 * MIB)


def _count_gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip() and one.strip() != "-1"])
    try:
        return len(list(Path("/proc/driver/nvidia/gpus").iterdir()))
    except OSError:
        return 0


def device_variables(devices: tuple[int, ...]) -> dict[str, str]:
    """What makes a program see only its own accelerators (the variables of CUDA, ROCm and oneAPI)."""
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = [inherited[one] if one < len(inherited) and inherited[one] else str(one) for one in devices]
    listing = ",".join(names)
    return {"CUDA_VISIBLE_DEVICES": listing, "HIP_VISIBLE_DEVICES": listing, "ROCR_VISIBLE_DEVICES": listing}
