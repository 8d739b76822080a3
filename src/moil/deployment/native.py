"""Native code among what is shipped: what it was built for, and whether the workers can load it.

A file says for which machine it is in its first twenty bytes. For which C library it was built is known from its
wheel's tags alone, so native code that was built here says nothing of it. An extension module is judged as Python would
look for it: of the files that stand for one module the first whose name the worker's Python takes counts, and a package
that brings builds for several platforms, or a fallback in Python, is no problem.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from moil.deployment.listing import EXECUTABLE
from moil.deployment.manifest import Native
from moil.deployment.plan import Plan, PlannedUnit, Source, UnitKind
from moil.record import record

_HEAD = 20
_ELF = {0x03: "i686", 0x14: "ppc", 0x15: "ppc64le", 0x16: "s390x", 0x28: "armv7l", 0x3E: "x86_64", 0xB7: "aarch64",
        0xF3: "riscv64", 0x102: "loongarch64"}  # fmt: skip
_MACH = {0x01000007: "x86_64", 0x0100000C: "arm64"}
_SAME = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "i586": "i686", "armv8l": "armv7l"}
_MULTIARCH = {"armv7l": "arm", "i686": "i386", "ppc64le": "powerpc64le", "ppc": "powerpc"}
_LIBRARY = re.compile(r"\.so(\.[\w.]+)?$|\.dylib$|\.pyd$")
_TAGGED = re.compile(r"^(?P<stem>[^.]+)\.(?P<tag>cpython-\d+t?|pypy\d+-\w+)(?P<platform>-[\w-]+)?\.so$")
_PLAIN = re.compile(r"^(?P<stem>(?!lib)[A-Za-z_]\w*)(?P<abi>\.abi3)?\.so$")
_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)")
_LEGACY = (("manylinux2014", (2, 17)), ("manylinux2010", (2, 12)), ("manylinux1", (2, 5)))


@record(kw_only=False)
class Platform:
    """What a file was built for; `machine` is "" if that is a kind that is not known here."""

    system: str
    machine: str


def of(units: Iterable[PlannedUnit]) -> Native:
    """What all the native code of these units was built for; the least C library that suits every one of them."""
    first, libc, example = None, (0, 0), ""
    is_musl = False
    for unit in units:
        native = next(iter(_files(unit)), None)
        if native is None or not native[1].machine or _is_for_any(unit):
            continue
        if first is None:
            first, example = native[1], unit.name
        is_musl_too, least = _libc(_tags(unit))
        is_musl = is_musl or is_musl_too
        if least > libc:
            libc, example = least, unit.name
    if first is None:
        return Native()
    shown = "musl" if is_musl else ".".join(map(str, libc)) if libc > (0, 0) else ""
    return Native(machine=first.machine, system=first.system, libc=shown, package=example)


def of_plan(plan: Plan) -> Native:
    """The same for a whole plan."""
    return of(plan.units)


def problems(plan: Plan, *, machine: str, python: str, system: str = "linux") -> list[str]:
    """What the workers (``x86_64``; ``3.11``) could not load, a line each that names it, the reason and the cure."""
    target = Platform(system, canonical_machine(machine))
    return [line for unit in plan.units for line in _problems(unit, target, python)]


def platform_of(path: str) -> Platform | None:
    """What a file was built for; None if it is no native code, or cannot be read."""
    try:
        with open(path, "rb") as file:
            return parse(file.read(_HEAD))
    except OSError:
        return None


def parse(head: bytes) -> Platform | None:
    """The same, from a file's first twenty bytes."""
    if len(head) < _HEAD:
        return None
    if head.startswith(b"\x7fELF"):
        kind = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")
        return Platform("linux", _ELF.get(kind, ""))
    if head[:4] == b"\xcf\xfa\xed\xfe":
        return Platform("darwin", canonical_machine(_MACH.get(int.from_bytes(head[4:8], "little"), "")))
    return None


def canonical_machine(machine: str) -> str:
    """The name as Linux has it."""
    return _SAME.get(machine.lower(), machine.lower())


def _problems(unit: PlannedUnit, target: Platform, python: str) -> Iterator[str]:
    if _is_for_any(unit):
        return
    files = dict(_files(unit))
    bad = [(one, files[one]) for one in _unloadable(unit, files, target, python)]
    if not bad:
        return
    if unit.kind is not UnitKind.code:
        yield _line(f"{unit.name} {unit.version}".strip(), *bad[0], target, python) + _cure(unit.name)
    else:
        for one, built in bad:
            yield _line(one.path, one, built, target, python) + (
                "build it for them, run the leader on such a machine, or leave it out with --deploy-exclude"
            )


def _line(what: str, source: Source, built: Platform, target: Platform, python: str) -> str:
    tag = _TAGGED.match(source.path.rpartition("/")[2])
    version = f" and {tag['tag']}" if tag else ""
    return (
        f"{what} holds native code ({source.path.removeprefix('site/')}) for {built.system} "
        f"{built.machine or 'of an unknown kind'}{version}, and the workers are {target.system} {target.machine} with "
        f"Python {python}: "
    )


def _cure(name: str) -> str:
    return (
        f"install a build of {name} for that platform (pip install --force-reinstall {name}, on such a machine), "
        "run the leader on one, or uninstall it if the workflow does not need it"
    )


def _unloadable(unit: PlannedUnit, files: Mapping[Source, Platform], target: Platform, python: str) -> Iterator[Source]:
    modules: dict[str, list[Source]] = defaultdict(list)
    rest = []
    for one in files:
        stem = _module(one.path)
        if stem:
            modules[stem].append(one)
        else:
            rest.append(one)
    for stem, many in modules.items():
        chosen = next(iter(sorted((rank, one.path, one) for one in many if (rank := _rank(one.path, target, python)))), None)
        if chosen is None:
            if not any(one.path in (f"{stem}.py", f"{stem}/__init__.py") for one in unit.sources):
                yield many[0]
        elif files[chosen[2]] != target:
            yield chosen[2]
    if rest and all(files[one] != target for one in files):
        yield rest[0]


def _module(path: str) -> str:
    """The module that a file stands for, as a path without suffix; "" if it is a library or a program."""
    folder, _, name = path.rpartition("/")
    found = _TAGGED.match(name) or _PLAIN.match(name)
    return f"{folder}/{found['stem']}" if found and not folder.endswith(".libs") else ""


def _rank(path: str, target: Platform, python: str) -> int:
    """The place of a file's suffix among those that the worker's Python tries; 0 if it does not try it."""
    name = path.rpartition("/")[2]
    tagged = _TAGGED.match(name)
    if tagged:
        here = "-darwin-" if target.system == "darwin" else f"-{_MULTIARCH.get(target.machine, target.machine)}-"
        fits = not tagged["platform"] or here in f"{tagged['platform']}-"
        return int(fits and tagged["tag"] == f"cpython-{python.replace('.', '')}")
    plain = _PLAIN.match(name)
    return (2 if plain["abi"] else 3) if plain else 0


def _files(unit: PlannedUnit) -> Iterator[tuple[Source, Platform]]:
    """The native files of a unit; programs are recognised by their first bytes."""
    for one in unit.notable:
        if is_candidate(one):
            found = platform_of(one.origin)
            if found is not None:
                yield one, found


def is_candidate(source: Source) -> bool:
    """Whether a file may hold native code, judged by its name and mode."""
    if source.kind == EXECUTABLE:
        return bool(source.origin)
    is_python = source.path.endswith((".py", ".pyc"))
    return bool(source.origin) and not is_python and _LIBRARY.search(source.path.rpartition("/")[2]) is not None


def _tags(unit: PlannedUnit) -> list[str]:
    """The platforms of a distribution's wheel: ``manylinux_2_17_x86_64``."""
    wheel = next((one for one in unit.notable if one.path.endswith(".dist-info/WHEEL")), None)
    if wheel is None or not unit.is_installed:
        return []
    try:
        with open(wheel.origin, encoding="utf-8", errors="replace") as file:
            return [line.rstrip().rpartition("-")[2] for line in file if line.startswith("Tag:")]
    except OSError:
        return []


def _is_for_any(unit: PlannedUnit) -> bool:
    """Whether a distribution says that it works everywhere, whatever it holds."""
    tags = _tags(unit)
    return bool(tags) and all(tag == "any" for tag in tags)


def _libc(tags: list[str]) -> tuple[bool, tuple[int, int]]:
    least = [found for tag in tags if (found := _glibc(tag)) is not None]
    return any(tag.startswith("musllinux") for tag in tags), min(least, default=(0, 0))


def _glibc(tag: str) -> tuple[int, int] | None:
    found = _MANYLINUX.match(tag)
    if found:
        return int(found[1]), int(found[2])
    return next((version for name, version in _LEGACY if tag.startswith(name)), None)


def this_system() -> str:
    """The word for the leader's operating system."""
    return "darwin" if sys.platform == "darwin" else "linux"
