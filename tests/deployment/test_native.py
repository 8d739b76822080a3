"""What native code was built for: files that begin as a linker writes them, and go no further."""

import platform
import sys
import sysconfig

import pytest

from moil.deployment import native
from moil.deployment.manifest import EntryPoint, Native
from moil.deployment.plan import Plan, PlannedUnit, Source, UnitKind

MACHINES = {"x86_64": 0x3E, "aarch64": 0xB7, "ppc64le": 0x15}


def elf(machine: str) -> bytes:
    return b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + MACHINES[machine].to_bytes(2, "little") + b"\0" * 8


def unit(tmp_path, files, *, tags=(), code=False) -> PlannedUnit:
    home = tmp_path / "home"
    if tags:
        files = files | {"site/thing-1.dist-info/WHEEL": "".join(f"Tag: cp311-cp311-{tag}\n" for tag in tags).encode()}
    for path, content in files.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(content)
    sources = tuple(Source(path=path, origin=str(home / path), kind="x" if path.startswith("bin/") else "f") for path in files)
    return PlannedUnit(name="thing", version="1", kind=UnitKind.code if code else UnitKind.distribution, sources=sources)


def problems(one, machine="x86_64", python="3.11"):
    return native.problems(Plan(entry=EntryPoint(), units=(one,)), machine=machine, python=python)


TAGGED = "site/thing/_c.cpython-311-x86_64-linux-gnu.so"


def test_what_was_built_elsewhere_is_told_with_platform_and_cure(tmp_path):
    (line,) = problems(unit(tmp_path, {TAGGED: elf("x86_64"), "site/thing/_d.abi3.so": elf("x86_64")}, tags=["manylinux_2_17_x86_64"]), "aarch64")
    assert line.startswith("thing 1 holds native code (thing/_c.cpython-311-x86_64-linux-gnu.so) for linux x86_64")
    assert "the workers are linux aarch64 with Python 3.11: install a build of thing for that platform" in line
    assert "\n" not in line


def test_what_the_workers_can_load_is_no_problem(tmp_path):
    one = unit(tmp_path, {TAGGED: elf("x86_64"), "site/thing/_d.abi3.so": elf("x86_64"), "site/thing.libs/libz.so.1": elf("x86_64")})
    assert problems(one) == [] == problems(one, "amd64")


def test_another_python_cannot_load_what_is_not_abi3(tmp_path):
    (line,) = problems(unit(tmp_path, {TAGGED: elf("x86_64")}), python="3.12")
    assert "linux x86_64 and cpython-311, and the workers are linux x86_64 with Python 3.12" in line
    assert problems(unit(tmp_path, {"site/thing/_d.abi3.so": elf("x86_64")}), python="3.12") == []


@pytest.mark.parametrize("other", ["_c.cpython-311-aarch64-linux-gnu.so", "_c.abi3.so", "_c.py"])
def test_a_loadable_alternative_is_enough(tmp_path, other):
    assert problems(unit(tmp_path, {TAGGED: elf("x86_64"), f"site/thing/{other}": elf("aarch64")}), "aarch64") == []


def test_an_alternative_that_would_not_be_chosen_is_none(tmp_path):
    one = unit(tmp_path, {"site/thing/_c.so": elf("x86_64"), "site/thing/_c.py": b""})
    assert len(problems(one, "aarch64")) == 1


def test_a_wheel_for_any_platform_is_believed(tmp_path):
    one = unit(tmp_path, {"site/thing/helper_amd64.so": elf("x86_64")}, tags=["any"])
    assert problems(one, "aarch64") == [] and native.of([one]) == Native()


def test_libraries_and_programs_count_unless_others_fit(tmp_path):
    assert len(problems(unit(tmp_path, {"bin/tool": elf("x86_64")}), "aarch64")) == 1
    assert problems(unit(tmp_path, {"bin/tool": elf("x86_64"), "site/t/libx.so": elf("aarch64")}), "aarch64") == []


def test_of_the_users_own_code_every_module_is_named(tmp_path):
    one = unit(tmp_path, {"a/x.so": elf("x86_64"), "a/y.cpython-311-x86_64-linux-gnu.so": elf("x86_64"), "a/z.so": b"no"}, code=True)
    told = problems(one, "aarch64")
    assert [line.partition(" ")[0] for line in told] == ["a/x.so", "a/y.cpython-311-x86_64-linux-gnu.so"]
    assert "leave it out with --deploy-exclude" in told[0]


@pytest.mark.parametrize(
    ("tags", "libc"),
    [
        (["manylinux_2_17_x86_64", "manylinux2014_x86_64"], "2.17"),
        (["manylinux_2_28_x86_64"], "2.28"),
        (["manylinux1_x86_64", "manylinux_2_28_x86_64"], "2.5"),
        (["musllinux_1_2_x86_64"], "musl"),
        (["linux_x86_64"], ""),
        ([], ""),
    ],
)
def test_the_least_libc_is_what_the_wheel_says(tmp_path, tags, libc):
    assert native.of([unit(tmp_path, {TAGGED: elf("x86_64")}, tags=tags)]) == Native(machine="x86_64", system="linux", libc=libc, package="thing")


def test_pure_code_needs_no_platform(tmp_path):
    assert native.of([unit(tmp_path, {"site/thing.py": b"", "bin/run": b"#!python\n" + b" " * 40})]) == Native()


def test_a_real_extension_module_is_for_this_machine():
    found = native.platform_of(sys.executable)
    assert found == native.Platform(native.this_system(), native.canonical_machine(platform.machine()))
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert native._rank(f"x/y{suffix}", found, f"{sys.version_info.major}.{sys.version_info.minor}") == 1


def test_heads_of_other_kinds():
    assert native.parse(b"") is None is native.parse(b"#!/bin/sh".ljust(40))
    assert native.parse(b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01".ljust(20, b"\0")) == native.Platform("darwin", "aarch64")
    assert native.parse(b"\x7fELF\x01\x02".ljust(18, b"\0") + b"\x00\x16") == native.Platform("linux", "s390x")
