"""Installed distributions for tests: laid out by hand as an installer does, or wheels that pip installs into an environment."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moil.deployment import bytecode, manifest, view
from moil.deployment.extract import TIME
from moil.deployment.distributions import Installed
from moil.deployment.press import item_of
from moil.deployment.listing import DIRECTORY, EXECUTABLE, LINK, Listing
from moil.deployment.manifest import Deployment, EntryPoint, Unit
from moil.deployment.plan import PlannedUnit, Source

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def write(directory: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def metadata(name: str, version: str, requires: tuple[str, ...] = ()) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {one}\n" for one in requires) + "\nIt.\n"


def lay(site: Path, name: str, version: str = "1.0", files: Mapping[str, str | bytes] | None = None, **more) -> Path:
    """Install by hand; `more`: requires, record (False: none), info (files of the metadata), also (further lines of RECORD)."""
    info = f"{name}-{version}.dist-info"
    files = dict(files or {})
    inside = {"METADATA": metadata(name, version, more.get("requires", ())), "INSTALLER": "pip\n", **more.get("info", {})}
    files |= {f"{info}/{key}": value for key, value in inside.items()}
    write(site, files)
    if more.get("record", True):
        lines = [f"{path},," for path in (*files, *more.get("also", ()), f"{info}/RECORD")]
        write(site, {f"{info}/RECORD": "\n".join(lines) + "\n"})
    return site / info


def site_of(prefix: Path) -> Path:
    site = prefix / "lib" / f"python{VERSION}" / "site-packages"
    site.mkdir(parents=True, exist_ok=True)
    return site


def scan(*sites: Path, prefix: Path | None = None) -> Installed:
    return Installed.scan([str(one) for one in sites], prefix=str(prefix or "/nowhere"), base_prefix="/usr")


def wheel(directory: Path, name: str, version: str, files: Mapping[str, str | bytes], **more) -> Path:
    """A wheel; `more`: requires, info (files of the metadata), scripts, data (by scheme), tag."""
    info, tag = f"{name}-{version}.dist-info", more.get("tag", "py3-none-any")
    every = dict(files) | {f"{name}-{version}.data/{key}": value for key, value in more.get("data", {}).items()}
    inside = {"METADATA": metadata(name, version, more.get("requires", ())), "WHEEL": f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n"}
    every |= {f"{info}/{key}": value for key, value in (inside | more.get("info", {})).items()}
    path = directory / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        lines = []
        for key, value in every.items():
            data = value.encode() if isinstance(value, str) else value
            info_of_it = zipfile.ZipInfo(key)
            info_of_it.external_attr = (0o100755 if "/scripts/" in key else 0o100644) << 16
            archive.writestr(info_of_it, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{key},sha256={digest},{len(data)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,"]) + "\n")
    return path


@dataclass
class Venv:
    """A virtual environment."""

    home: Path

    @property
    def python(self) -> str:
        return str(self.home / "bin" / "python")

    @property
    def site(self) -> Path:
        return site_of(self.home)

    @staticmethod
    def make(home: Path, *options: str) -> "Venv":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", *options, str(home)], check=True)
        return Venv(home)

    def pip(self, *arguments: str | Path) -> None:
        line = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*line, *map(str, arguments)], check=True, env=clean())

    def scan(self) -> Installed:
        code = "import sys, json; print(json.dumps([sys.path, sys.prefix, sys.base_prefix]))"
        path, prefix, base = json.loads(run(self.python, "-I", "-c", code))
        return Installed.scan(path, prefix=prefix, base_prefix=base)


def clean(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COV_"))} | more


def run(*argv: str, **env: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, env=clean(**env), cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Machine:
    """A machine's cache, filled by hand, and the views on it."""

    def __init__(self, home: Path, python: str = sys.executable) -> None:
        self.units, self.views = home / "units", home / "views"
        self.units.mkdir(parents=True)
        self.views.mkdir()
        self.engine = home / "engine"
        self.engine.mkdir()
        self.python = python

    def directory(self, unit: Unit) -> Path:
        return self.units / unit.digest

    def put(self, planned: PlannedUnit) -> Unit:
        """Copy the files of a unit."""
        items = {one: item for one in planned.sources if (item := item_of(one)) is not None}
        unit = Unit(name=planned.name, digest=Listing.of(items.values()).digest, version=planned.version)
        for one in items:
            copy(one, self.directory(unit) / one.path)
        self.directory(unit).mkdir(exist_ok=True)
        return unit

    def deployment(self, environment: list[PlannedUnit], roots: tuple[manifest.Root, ...] = (), entry: EntryPoint | None = None) -> Deployment:
        return Deployment(
            entry=entry or EntryPoint(),
            python=VERSION,
            roots=roots,
            environment=tuple(map(self.put, environment)),
            engine=Unit(name="moil", digest="0" * 64),
        )

    def view(self, deployment: Deployment) -> view.View:
        return view.build(deployment, self.directory, self.views, python=self.python, engine=str(self.engine))


def copy(source: Source, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if source.kind == DIRECTORY:
        to.mkdir()
    elif source.kind == LINK:
        to.symlink_to(source.target)
    else:
        if source.content is not None:
            to.write_bytes(source.content)
        elif source.transform:
            to.write_bytes(bytecode.of_file(source.origin) or b"")
        else:
            shutil.copyfile(source.origin, to)
        to.chmod(0o555 if source.kind == EXECUTABLE else 0o444)
        os.utime(to, (TIME, TIME))
