"""Containers on this machine: Docker from the distribution's packages if it is not here, and one image of hosts.

The image is Debian 12 with Python, Slurm and munge, made from packages without a registry. It is the same for the
controller and for the compute hosts, and holds nothing of Moil. Its tag is a digest of all that it is made from, so a
change makes a new one; Docker keeps it from one run of the tests to the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.cluster.patience import wait_until

IMAGE = Path(__file__).with_name("image")
CACHE = Path("/var/cache/moil")
LABEL = "moil.cluster"
PACKAGES = (
    "python3", "python3-venv", "ca-certificates", "iproute2", "procps",
    "slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge",
    "bowtie2", "samtools", "bcftools",
)  # fmt: skip
ACCOUNTING = ("slurmdbd", "mariadb-server", "mariadb-client")


class Unavailable(Exception):
    """A cluster cannot be made on this machine: the message says in one line what is missing."""


def run(argv: Sequence[object], *, timeout: float = 120, **how: object) -> subprocess.CompletedProcess[str]:
    """A command, to its end; an exit status other than 0 is an error that tells what it said."""
    words = list(map(str, argv))
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, **how)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit status {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def docker(*argv: object, timeout: float = 120, **how: object) -> str:
    """What ``docker …`` prints."""
    return run(["docker", *argv], timeout=timeout, **how).stdout.strip()


def ensure() -> None:
    """Have Docker run here. Raises Unavailable."""
    if os.geteuid() != 0:
        raise Unavailable("a cluster of containers needs root: it starts Docker, and gives hosts their control groups")
    if not os.path.isdir("/sys/fs/cgroup/memory"):
        raise Unavailable("a cluster needs control groups of version 1: /sys/fs/cgroup/memory is not there")
    with locked("docker"):
        if not _answers():
            _install("docker.io", present="dockerd")
            _start_daemon()


def image(*, accounting: bool = False) -> str:
    """The tag of the image, which is made if it is not there; that takes half a minute. Raises Unavailable."""
    packages = (*PACKAGES, *(ACCOUNTING if accounting else ()))
    digest = hashlib.sha256(repr(packages).encode())
    for name in ("entrypoint.sh", "provision.sh", "accounting.sh"):
        digest.update((IMAGE / name).read_bytes())
    tag = f"moil-cluster:{digest.hexdigest()[:12]}"
    with locked("image"):
        if subprocess.run(["docker", "image", "inspect", tag], capture_output=True).returncode:
            _build(tag, packages)
    return tag


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _answers() -> bool:
    return bool(shutil.which("docker")) and subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def _install(package: str, *, present: str) -> None:
    if shutil.which(present):
        return
    if not shutil.which("apt-get"):
        raise Unavailable(f"{present} is not here, and neither is apt-get, which would install {package}")
    try:
        run(["apt-get", "update", "-qq"], timeout=600)
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], timeout=900, env=env)
    except RuntimeError as error:
        raise Unavailable(f"{package} cannot be installed: {' '.join(str(error).split())[-300:]}") from None


def _start_daemon() -> None:
    """Containers go on when the daemon's starter has gone: it is nobody's child."""
    log = CACHE / "dockerd.log"
    with log.open("ab") as file:
        subprocess.run(["setsid", "--fork", "dockerd"], stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=True)
    if not wait_until(_answers, bound=60):
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it says nothing"]
        raise Unavailable(f"dockerd does not come up: {last[0][-300:]}")


def _archive() -> str:
    """Where this machine gets Debian's packages from. Raises Unavailable."""
    known = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True)
    found = [line for line in known.stdout.splitlines() if line.rstrip("/").endswith("/debian")]
    if not found:
        raise Unavailable("a cluster's image is made of Debian's packages, and apt-get knows no archive of Debian's here")
    return found[0]


def _build(tag: str, packages: Sequence[str]) -> None:
    _install("mmdebstrap", present="mmdebstrap")
    make = [
        "mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}",
        f"--customize-hook=copy-in {IMAGE}/entrypoint.sh {IMAGE}/accounting.sh {IMAGE}/provision.sh /usr/local/bin",
        '--customize-hook=chroot "$1" sh /usr/local/bin/provision.sh',
        "bookworm", "-", f"deb {_archive()} bookworm main",
    ]  # fmt: skip
    change = 'ENTRYPOINT ["bash", "/usr/local/bin/entrypoint.sh"]'
    log = CACHE / "mmdebstrap.log"
    with log.open("wb") as said, subprocess.Popen(make, stdout=subprocess.PIPE, stderr=said) as made:
        run(["docker", "import", "--change", change, "-", tag], timeout=900, stdin=made.stdout)
    if made.returncode:
        subprocess.run(["docker", "image", "rm", tag], capture_output=True)
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise Unavailable(f"the image cannot be made (see {log}): {' '.join(last)[-300:]}")
