"""On a worker: what a deployment names, put together as a virtual environment of hard links to the cache's units.

    <views>/<name>/
      pyvenv.cfg, bin/python          a virtual environment of the worker's own Python
      bin/                            console scripts, made anew for it; other programs of distributions
      lib/python3.11/site-packages/   all distributions: one entry on the import path
      roots/<n>/                      the user's code, root by root, in the order of the leader's import path

Being a virtual environment it is what Python expects: ``.pth`` files are obeyed, metadata is found, and a job that runs
``[sys.executable, "-m", "tool"]`` or a console script is in the same environment. Roots that stood behind the site
directory at home are named by a ``.pth`` of ours whose name sorts last; the others are for ``PYTHONPATH``.

What is fetched on demand joins the site directory later: see `moil.deployment.arrivals`.

It is built beside its place and renamed, so it is there whole or not at all. Directories can be written to, so Python
keeps what it compiles there; files cannot, and are those of the cache, whose time never changes. Links hold a unit's
files even when the unit is evicted. Whoever builds or uses a view holds the cache's lock of that name.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from moil.deployment import arrivals, scripts
from moil.deployment.cache import boot_id
from moil.deployment.extract import TIME, remove_tree
from moil.deployment.links import link_tree
from moil.deployment.manifest import Deployment, Root, Unit
from moil.errors import DeploymentError
from moil.record import record

FORMAT = 2
ROOTS_FILE = "~moil-roots.pth"
_HEAD = 4096


@record(kw_only=False)
class View:
    """An environment on this machine, ready to be used."""

    directory: Path
    python: str
    #: Entries for PYTHONPATH: the roots in the leader's order, then the engine's directory.
    path: tuple[str, ...]
    #: To be put first on PATH.
    bin: str


def name(deployment: Deployment, *, python: str) -> str:
    """The name of the view's directory, and of its lock."""
    told = {
        "format": FORMAT,
        "boot": boot_id(),
        "python": os.path.realpath(python),
        "version": deployment.python,
        "environment": [unit.digest for unit in (*deployment.environment, *deployment.front)],
        "on demand": [[one.unit.digest, one.import_names, one.requires] for one in deployment.on_demand],
        "roots": [
            [root.after_site, root.archive, root.inner, [unit.digest for unit in root.units]] for root in deployment.roots
        ],
    }
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def existing(deployment: Deployment, views: Path, *, python: str, engine: str) -> View | None:
    """The view of a deployment, if somebody has built it here."""
    directory = views / name(deployment, python=python)
    return _view(deployment, directory, engine) if (directory / "pyvenv.cfg").is_file() else None


def build(deployment: Deployment, unit_directory: Callable[[Unit], Path], views: Path, *, python: str, engine: str) -> View:
    """The view of a deployment, built if it is not there; its units must be. Raises DeploymentError."""
    found = existing(deployment, views, python=python, engine=engine)
    if found is not None:
        return found
    place = views / name(deployment, python=python)
    try:
        _build_at(place, deployment, unit_directory, python)
    except OSError as error:
        raise DeploymentError(
            f"the environment cannot be built in {views}: {error.strerror or error} ({error.filename}); free some space "
            "there, or choose another place with --worker-cache"
        ) from error
    return _view(deployment, place, engine)


def script(deployment: Deployment, view: View) -> str:
    """The path of the main script (or of the archive or directory that is run as such) on this machine, or ""."""
    entry = deployment.entry
    if entry.root < 0 or entry.module:
        return ""
    root = view.directory / "roots" / str(entry.root)
    return os.path.normpath(root / (entry.script or deployment.roots[entry.root].archive))


def site_packages(directory: Path, version: str) -> Path:
    """The site directory of a view for this version of Python."""
    threads = "t" if "t" in getattr(sys, "abiflags", "") else ""
    return directory / "lib" / f"python{version}{threads}" / "site-packages"


def _view(deployment: Deployment, directory: Path, engine: str) -> View:
    front = (number for number, root in enumerate(deployment.roots) if not root.after_site)
    path = (*(_root(directory, deployment, number) for number in front), engine)
    return View(directory=directory, python=str(directory / "bin" / "python"), path=path, bin=str(directory / "bin"))


def _root(directory: Path, deployment: Deployment, number: int) -> str:
    root: Root = deployment.roots[number]
    return os.path.normpath(directory / "roots" / str(number) / (root.archive or root.inner))


def _build_at(place: Path, deployment: Deployment, unit_directory: Callable[[Unit], Path], python: str) -> None:
    _check_place(place)
    beside = place.parent.parent / "tmp"
    beside.mkdir(exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f"view-{place.name[:12]}-", dir=beside))
    try:
        _fill(staged, place, deployment, unit_directory, python)
        staged.chmod(0o755)
        _publish(staged, place)
    finally:
        remove_tree(staged)


def _publish(staged: Path, place: Path) -> None:
    """Give it its name, unless another has been quicker."""
    try:
        staged.rename(place)
    except OSError:
        if not (place / "pyvenv.cfg").is_file():
            raise


def _check_place(place: Path) -> None:
    if os.pathsep in str(place) or "\n" in str(place):
        raise DeploymentError(
            f"the worker's cache {place.parent.parent} has a {os.pathsep!r} or a line break in its path, which no import "
            "path can hold; choose another place with --worker-cache"
        )


def _fill(staged: Path, place: Path, deployment: Deployment, unit_directory: Callable[[Unit], Path], python: str) -> None:
    base = real_python(python)
    site = site_packages(staged, deployment.python)
    _frame(staged, site, base, deployment.python)
    parts = (("site", site), ("data", staged))
    units = [unit_directory(unit) for unit in (*deployment.environment, *deployment.front)]
    for unit in units:
        for part, target in parts:
            link_tree(unit / part, target)
    view_python = str(place / "bin" / "python")
    for unit in units:
        _programs(unit / "bin", staged / "bin", view_python)
    _console_scripts(site, staged / "bin", view_python)
    arrivals.await_in(staged, site, deployment)
    _roots(staged, place, site, deployment, unit_directory)


def _frame(staged: Path, site: Path, base: str, version: str) -> None:
    """The virtual environment itself."""
    site.mkdir(parents=True)
    (staged / "bin").mkdir()
    for link in ("python", "python3", f"python{version}"):
        (staged / "bin" / link).symlink_to(base)
    if sys.maxsize > 2**32 and sys.platform != "darwin":
        (staged / "lib64").symlink_to("lib")
    (staged / "pyvenv.cfg").write_text(
        f"home = {os.path.dirname(base)}\ninclude-system-site-packages = false\nversion = {version}\n"
    )


def real_python(python: str) -> str:
    """The interpreter behind links and virtual environments."""
    real = os.path.realpath(python)
    config = Path(real).parent.parent / "pyvenv.cfg"
    if not config.is_file():
        return real
    for line in config.read_text().splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            names = (os.path.basename(real), "python3", "python")
            found = (os.path.realpath(os.path.join(value.strip(), one)) for one in names)
            return next((one for one in found if os.path.isfile(one)), real)
    return real


def _programs(source: Path, target: Path, python: str) -> None:
    """Programs that came with distributions; scripts of Python get the view's."""
    if not source.is_dir():
        return
    for entry in os.scandir(source):
        if entry.is_file() and _begins_as_python(entry.path):
            _write(target / entry.name, scripts.for_python(Path(entry.path).read_bytes(), python))
    link_tree(source, target)


def _begins_as_python(path: str) -> bool:
    with open(path, "rb") as file:
        return scripts.is_python(file.read(_HEAD))


def _console_scripts(site: Path, target: Path, python: str) -> None:
    for text in _entry_points(site):
        for script_name, module, attribute in scripts.entries(text):
            _write(target / script_name, scripts.console_script(python, module, attribute))


def _entry_points(site: Path) -> Iterator[str]:
    for entry in sorted(os.listdir(site)):
        if entry.endswith((".dist-info", ".egg-info")):
            try:
                yield (site / entry / "entry_points.txt").read_text(encoding="utf-8", errors="surrogateescape")
            except (FileNotFoundError, NotADirectoryError):
                continue


def _write(path: Path, content: bytes) -> None:
    """A program, unless one of that name is there."""
    if not path.is_symlink() and not path.exists():
        path.write_bytes(content)
        path.chmod(0o555)
        os.utime(path, (TIME, TIME))


def _roots(staged: Path, place: Path, site: Path, deployment: Deployment, unit_directory: Callable[[Unit], Path]) -> None:
    behind = []
    for number, root in enumerate(deployment.roots):
        target = staged / "roots" / str(number)
        target.mkdir(parents=True)
        for unit in root.units:
            link_tree(unit_directory(unit), target)
        if root.after_site:
            behind.append(_root(place, deployment, number))
    if behind:
        (site / ROOTS_FILE).write_text("".join(f"{path}\n" for path in behind))
