"""A real Slurm cluster: a controller and compute hosts, each a container with a root file system, name and address of its own.

    with SlurmCluster() as slurm:
        slurm.copy_in(project, "/home/moil/project")
        slurm.leader(["/opt/leader/bin/python", "main.py", "--batch-system", "slurm"], cwd="/home/moil/project")

The controller's container is where users log in, and where the leader runs: it alone has Moil (in /opt/leader) and what
is copied in. The compute hosts have Python, and see of the rest the directory /shared only, for job stores. All are on a
network with no way out. Memory limits are kept. Everybody is `moil`, who is no superuser.

Containers, network and directory carry the cluster's name and its owner's process, so `down` removes what is ours and
nothing else, and `up` first removes what owners that died have left.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.cluster import wheels
from tests.cluster.docker import IMAGE, LABEL, docker, ensure, image, locked, run
from tests.cluster.patience import wait_until

CONTROLLER = "ctl"
LEADER = "/opt/leader"
HOME = "/home/moil"
COMMANDS = ("sbatch", "squeue", "scontrol", "sacct", "scancel", "sinfo")
BOUND = 60.0


@dataclass
class Started:
    """A program that runs in the leader's container."""

    process: subprocess.Popen[str]
    cluster: SlurmCluster
    pid_file: str

    def signal(self, name: str = "TERM") -> None:
        """Send the program itself a signal, not the client that shows its output."""
        self.cluster.on(CONTROLLER, ["sh", "-c", f'kill -{name} "$(cat {self.pid_file})"'])

    def wait(self, timeout: float = BOUND) -> tuple[int, str, str]:
        """Its exit status, and what it printed."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err


class SlurmCluster:
    """See the module. `owner`: the process whose end makes the cluster rubbish; None: it stays until `down`."""

    def __init__(self, *, hosts: int = 2, accounting: bool = False, name: str = "", owner: int | None = -1) -> None:
        self.name = name or secrets.token_hex(2)
        self.accounting = accounting
        #: The names of the compute hosts; no other cluster's are the same, because their control groups are called so.
        self.hosts = tuple(f"m{self.name}c{number + 1}" for number in range(hosts))
        self._owner = "" if owner is None else _process(os.getpid() if owner < 0 else owner)
        self._directory: Path | None = None
        self._started = 0

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # -- coming and going --------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Bring it up, and return when every host is idle. Raises Unavailable; leaves nothing if it fails."""
        ensure()
        sweep()
        tag = image(accounting=self.accounting)
        have_moil = wheels.of_moil()
        try:
            self._configure()
            self._start_containers(tag)
            self.on(CONTROLLER, ["mkdir", "-p", f"{HOME}/.started"], user="moil")
            installing = self._install_moil(have_moil)
            self.start_controller()
            for host in self.hosts:
                self.start_worker(host)
            self._wait_for_hosts()
            _ended_well(installing)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Remove all of it; what is gone already is no error."""
        _remove(self.name)
        self._directory = None

    @classmethod
    def attach(cls, name: str) -> SlurmCluster:
        """The cluster of this name, which is up already; Moil is installed again."""
        labels = next(iter(_labels(f"{LABEL}={name}")), None)
        if labels is None:
            raise RuntimeError(f"there is no cluster {name!r}: bring it up with `make cluster-up`")
        found = cls(name=name, owner=None, hosts=int(labels["moil.hosts"]), accounting=labels["moil.accounting"] == "True")
        found._directory = Path(labels["moil.directory"])
        _ended_well(found._install_moil(wheels.of_moil()))
        return found

    @property
    def directory(self) -> Path:
        """Where this machine keeps the cluster's configuration, the commands, and what is shared."""
        assert self._directory is not None, "the cluster is not up"
        return self._directory

    def _configure(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix=f"moil-cluster-{self.name}-", dir="/var/tmp"))
        self._directory.chmod(0o755)
        for part, mode in (("etc", 0o755), ("shared", 0o1777), ("bin", 0o755)):
            (self._directory / part).mkdir()
            (self._directory / part).chmod(mode)
        storage = "accounting_storage/slurmdbd\nAccountingStorageHost=ctl" if self.accounting else "accounting_storage/none"
        self._write("slurm.conf", {"CONTROLLER": CONTROLLER, "HOSTS": ",".join(self.hosts), "ACCOUNTING": storage})
        self._write("cgroup.conf", {})
        self._write("gres.conf", {})
        if self.accounting:
            self._write("slurmdbd.conf", {"CONTROLLER": CONTROLLER})
        key = self._directory / "etc" / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        for command in COMMANDS:
            wrapper = self._directory / "bin" / command
            wrapper.write_text(f'#!/bin/sh\nexec docker exec -i -u moil -w / {self.container()} {command} "$@"\n')
            wrapper.chmod(0o755)

    def _write(self, name: str, values: Mapping[str, str]) -> None:
        text = (IMAGE / name).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        (self.directory / "etc" / name).write_text(text)

    def _start_containers(self, tag: str) -> None:
        facts = {
            LABEL: self.name,
            "moil.owner": self._owner,
            "moil.directory": self.directory,
            "moil.hosts": len(self.hosts),
            "moil.accounting": self.accounting,
        }
        labels = [word for key, value in facts.items() for word in ("--label", f"{key}={value}")]
        docker("network", "create", "--internal", *labels, self._network)
        groups = ["--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
        for host in (CONTROLLER, *self.hosts):
            mounts = ["-v", f"{self.directory}/etc:/etc/cluster:ro", "-v", f"{self.directory}/shared:/shared"]
            names = ["--name", self.container(host), "--hostname", host, "--network", self._network, "--network-alias", host]
            docker("run", "--detach", "--init", *names, *labels, *mounts, *(() if host == CONTROLLER else groups), tag)

    @property
    def _network(self) -> str:
        return f"moil-cluster-{self.name}"

    def container(self, host: str = CONTROLLER) -> str:
        """What Docker calls a host."""
        return f"moil-cluster-{self.name}-{host}"

    def _install_moil(self, have: Path) -> subprocess.Popen[str]:
        docker("cp", f"{have}/.", f"{self.container()}:/opt/wheels")
        pip = f"python3 $(echo /usr/share/python-wheels/pip-*.whl)/pip --python {LEADER}/bin/python --quiet --no-cache-dir"
        make = f"python3 -m venv --clear --without-pip {LEADER} && {pip} install --no-index --find-links /opt/wheels moil"
        words = ["docker", "exec", self.container(), "sh", "-c", make]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _wait_for_hosts(self) -> None:
        if not wait_until(self.idle, bound=BOUND):
            raise RuntimeError(f"the hosts do not come up:\n{self.slurm('sinfo', '-N', '-l')}\n{self.log()}")

    # -- commands and files -------------------------------------------------------------------------------------------

    def on(self, host: str, argv: Sequence[object], *, user: str = "root", timeout: float = BOUND, **how: str) -> Done:
        """A command on a host, to its end, whatever its exit status; `how`: cwd, input."""
        return self._done(self._exec(host, argv, user=user, cwd=how.get("cwd", "/")), how.get("input"), timeout)

    def leader(
        self,
        argv: Sequence[object],
        *,
        cwd: str = HOME,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float = BOUND,
    ) -> Done:
        """A command as `moil` where the leader runs, to its end, whatever its exit status."""
        bounded = ["timeout", "--kill-after=5", timeout, *argv]
        return self._done(self._exec(CONTROLLER, bounded, user="moil", cwd=cwd, env=env), input, timeout + 20)

    def popen(self, argv: Sequence[object], *, cwd: str = HOME, env: Mapping[str, str] | None = None) -> Started:
        """A command as `moil` where the leader runs, in the background."""
        self._started += 1
        pid_file = f"{HOME}/.started/{self._started}"
        words = ["sh", "-c", 'echo $$ >"$0"; exec "$@"', pid_file, *argv]
        command = self._exec(CONTROLLER, words, user="moil", cwd=cwd, env=env)
        pipe = subprocess.PIPE
        return Started(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True), self, pid_file)

    def slurm(self, *argv: object) -> str:
        """What a command of Slurm's prints for `moil`; it must succeed."""
        done = self.on(CONTROLLER, argv, user="moil")
        assert done.returncode == 0, f"{shlex.join(map(str, argv))}: {done.stderr}"
        return done.stdout.strip()

    def copy_in(self, path: Path | str, to: str) -> None:
        """Copy a file, or the content of a directory, to `to` where the leader runs; it is `moil`'s then."""
        inner = os.path.isdir(path)
        made = self.on(CONTROLLER, ["mkdir", "-p", to if inner else os.path.dirname(to)], user="moil")
        assert made.returncode == 0, made.stderr
        docker("cp", f"{path}/." if inner else path, f"{self.container()}:{to}")
        self.on(CONTROLLER, ["chown", "-R", "-h", "moil:moil", to])

    def read(self, path: str, *, host: str = CONTROLLER) -> str:
        """The text of a file on a host."""
        done = self.on(host, ["cat", path])
        if done.returncode:
            raise FileNotFoundError(done.stderr.strip())
        return done.stdout

    def venv(self, packages: Sequence[str] = (), *, name: str = "venv", options: Sequence[str] = ()) -> str:
        """A virtual environment of `moil`'s with Moil and these packages (names, or directories here); its Python."""
        target = f"{HOME}/venvs/{name}"
        found = "/opt/wheels"
        if packages:
            found = f"/opt/wheels-{secrets.token_hex(4)}"
            docker("cp", f"{wheels.of_packages(packages)}/.", f"{self.container()}:{found}")
        names = [one for one in packages if not os.path.isdir(one)]
        local = self.on(CONTROLLER, ["sh", "-c", f"ls -d {found}/*.whl"]).stdout.split() if len(names) < len(packages) else []
        pip = [f"{target}/bin/pip", "--quiet", "--no-cache-dir", "--disable-pip-version-check", "install", "--no-index"]
        links = ["--find-links", "/opt/wheels", "--find-links", found]
        for argv in (["python3", "-m", "venv", *options, target], [*pip, *links, "moil", *names, *local]):
            done = self.leader(argv, timeout=300)
            assert done.returncode == 0, done.stderr
        return f"{target}/bin/python"

    @property
    def shared(self) -> Path:
        """The directory /shared of all hosts, as this machine sees it."""
        return self.directory / "shared"

    @property
    def commands(self) -> Path:
        """A directory for the front of this machine's PATH: Slurm's commands, which run as `moil` in the leader's container."""
        return self.directory / "bin"

    # -- mishaps --------------------------------------------------------------------------------------------------------

    def start_controller(self, *, forgetful: bool = False) -> None:
        """Start slurmctld, which takes up where it was, or has forgotten all jobs."""
        if self.accounting and not self._is_running(CONTROLLER, "slurmdbd"):
            self._must(CONTROLLER, "bash /usr/local/bin/accounting.sh")
        self._must(CONTROLLER, "slurmctld -c" if forgetful else "slurmctld")
        assert wait_until(lambda: "is UP" in self.on(CONTROLLER, ["scontrol", "ping"]).stdout, bound=BOUND), self.log()
        assert not self.accounting or wait_until(self._is_registered, bound=BOUND), self.log()

    def _is_registered(self) -> bool:
        """Whether the accounts know of the controller: what it tells them before that may be lost."""
        port = self.on(CONTROLLER, ["sacctmgr", "--noheader", "--parsable2", "show", "cluster", "format=ControlPort"]).stdout
        return port.strip() not in ("", "0")

    def stop_controller(self) -> None:
        """End slurmctld, in an orderly way; jobs go on."""
        self._stop(CONTROLLER, "slurmctld", "TERM")

    def start_worker(self, host: str) -> None:
        """Start slurmd on a host; the host too, if it was lost."""
        docker("start", self.container(host))
        self._must(host, f"slurmd -N {host}")

    def stop_worker(self, host: str, *, signal: str = "KILL") -> None:
        """End slurmd on a host; its jobs go on."""
        self._stop(host, "slurmd", signal)

    def lose(self, host: str) -> None:
        """A host goes away with all that runs on it, as if its power failed."""
        docker("kill", self.container(host))

    def idle(self) -> bool:
        """Whether every host is up and does nothing."""
        done = self.on(CONTROLLER, ["sinfo", "--noheader", "-N", "-p", "main", "-o", "%N %T"])
        return sorted(done.stdout.split("\n")[:-1]) == sorted(f"{host} idle" for host in self.hosts)

    def quiet(self) -> None:
        """Cancel what jobs there are, and wait until every host is idle again."""
        self.on(CONTROLLER, ["scancel", "--user=moil"], user="moil")
        self._wait_for_hosts()

    def log(self) -> str:
        """The end of the controller's log."""
        return self.on(CONTROLLER, ["tail", "-n", "20", "/var/log/slurm/slurmctld.log"]).stdout

    # -- below ------------------------------------------------------------------------------------------------------------

    def _exec(self, host: str, argv: Sequence[object], *, user: str, cwd: str, env: Mapping[str, str] | None = None) -> list[str]:
        variables = {"HOME": HOME if user == "moil" else "/root", "USER": user, **(env or {})}
        more = [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]
        return ["docker", "exec", "-i", "-u", user, "-w", cwd, *more, self.container(host), *map(str, argv)]

    def _done(self, command: list[str], text: str | None, timeout: float) -> Done:
        return subprocess.run(command, capture_output=True, text=True, input=text or "", timeout=timeout)

    def _must(self, host: str, line: str) -> None:
        ready = "until [ -S /run/munge/munge.socket.2 ]; do sleep 0.02; done"
        run(["docker", "exec", self.container(host), "timeout", "60", "bash", "-c", f"{ready}; {line}"])

    def _is_running(self, host: str, daemon: str) -> bool:
        return self.on(host, ["pgrep", "-x", daemon]).returncode == 0

    def _stop(self, host: str, daemon: str, signal: str) -> None:
        self.on(host, ["pkill", f"-{signal}", "-x", daemon])
        assert wait_until(lambda: not self._is_running(host, daemon), bound=BOUND), f"{daemon} on {host} does not stop"


Done = subprocess.CompletedProcess[str]


def sweep() -> None:
    """Remove the clusters of processes that are gone."""
    with locked("sweep"):
        for labels in _labels(LABEL):
            if labels["moil.owner"] and labels["moil.owner"] != _process(int(labels["moil.owner"].partition(":")[0])):
                _remove(labels[LABEL])


def remove_all() -> None:
    """Remove every cluster, whoever owns it."""
    for name in {labels[LABEL] for labels in _labels(LABEL)}:
        _remove(name)


def names() -> set[str]:
    """Of the clusters that are up."""
    return {labels[LABEL] for labels in _labels(LABEL)}


def _remove(name: str) -> None:
    ours = f"label={LABEL}={name}"
    directories = {labels["moil.directory"] for labels in _labels(f"{LABEL}={name}")}
    with suppress(RuntimeError):
        if containers := docker("ps", "--all", "--quiet", "--filter", ours).split():
            docker("rm", "--force", "--volumes", *containers)
        if networks := docker("network", "ls", "--quiet", "--filter", ours).split():
            docker("network", "rm", *networks)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    for left in Path("/sys/fs/cgroup").glob(f"*/slurm_m{name}c*"):
        subprocess.run(["find", left, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], capture_output=True)


def _labels(wanted: str) -> list[dict[str, str]]:
    try:
        found = [
            *docker("network", "ls", "--quiet", "--filter", f"label={wanted}").split(),
            *docker("ps", "--all", "--quiet", "--filter", f"label={wanted}").split(),
        ]
        inspected = json.loads(docker("inspect", *found)) if found else []
    except (RuntimeError, FileNotFoundError):
        return []
    return [one.get("Labels") or one["Config"]["Labels"] for one in inspected]


def _process(pid: int) -> str:
    """A process, told apart from all that come to have its number; "" if there is none."""
    with suppress(OSError):
        return f"{pid}:{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    return ""


def _ended_well(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate(timeout=300)
    if process.returncode:
        raise RuntimeError(f"Moil cannot be installed where the leader runs: {said}")
