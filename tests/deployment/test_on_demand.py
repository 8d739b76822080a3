"""Which distributions may come later, and what of them is always there."""

import hashlib
import json

import pytest

from moil.deployment import manifest
from moil.deployment.distributions import plan_units, wanted
from moil.deployment.on_demand import LEAST, divide
from moil.deployment.plan import PlannedUnit, Source, UnitKind
from moil.deployment.request import Loaded
from tests.deployment.installs import lay, scan, site_of
from tests.deployment.projects import plan_of

LARGE = "#" * LEAST


@pytest.fixture
def site(tmp_path):
    return site_of(tmp_path / "venv")


def divided(site, *tops: str):
    installed = scan(site, prefix=site.parents[2])
    found = wanted(installed, tops, everything=True)
    units = divide(plan_units(installed, found.distributions, found.reasons), found.needed, found.requires)
    return {one.name: one for one in units}


def late(site, *tops: str) -> set[str]:
    return {name for name, one in divided(site, *tops).items() if one.kind is UnitKind.on_demand}


def test_what_is_large_and_not_known_to_be_needed(site):
    lay(site, "used", files={"used.py": LARGE}, requires=("needed",))
    lay(site, "needed", files={"needed/__init__.py": LARGE})
    lay(site, "small", files={"small/__init__.py": ""})
    lay(site, "large", files={"large/__init__.py": LARGE, "large.libs/lib.so.1": "", "3a__compiled.abi3.so": ""})
    assert late(site, "used") == {"large"}
    assert late(site) == {"used", "needed", "large"}


@pytest.mark.parametrize(
    ("files", "more"),
    [
        ({"x/__init__.py": LARGE, "x.pth": "import x\n"}, {}),
        ({"x/__init__.py": LARGE, "README": ""}, {}),
        ({"x/__init__.py": LARGE}, {"also": ("../../../bin/tool",)}),
        ({"x/__init__.py": LARGE}, {"also": ("../../../share/x/table.csv",)}),
        ({"json/__init__.py": LARGE}, {}),
        ({"x-stubs/__init__.pyi": LARGE}, {}),
    ],
    ids=["acts at the start", "loose file", "program", "data", "name of the standard library", "no import name"],
)
def test_what_no_import_stands_for_comes_at_once(site, files, more):
    for one in ("bin/tool", "share/x/table.csv"):
        path = site.parents[2] / one
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("-")
    lay(site, "x", files=files, **more)
    assert late(site) == set()


def test_a_name_that_is_shared_with_what_is_there_and_so_on(site):
    lay(site, "space-one", files={"space/one/__init__.py": "", "other/one.py": ""})
    lay(site, "space-two", files={"space/two/__init__.py": LARGE, "further/two.py": ""})
    lay(site, "space-three", files={"further/three/__init__.py": LARGE})
    lay(site, "alone", files={"alone/__init__.py": LARGE})
    assert late(site, "other") == {"alone"}


def test_distributions_that_share_a_name_among_themselves_have_it_both(site):
    lay(site, "space-two", files={"space/two/__init__.py": LARGE}, requires=("base", "absent"))
    lay(site, "space-three", files={"space/three/__init__.py": LARGE})
    lay(site, "base", files={"base.py": LARGE})
    found = divided(site)
    assert found["space-two"].import_names == found["space-three"].import_names == ("space",)
    assert found["space-two"].requires == ("base", "space-two")


def test_what_one_requires_comes_with_it_whatever_is_in_between(site):
    """Libraries may be loaded without an import; so a small one in between waits too, and an extra is followed."""
    lay(site, "large", files={"large.py": LARGE}, requires=("small", "meta[fast]"))
    lay(site, "small", files={"small.py": ""}, requires=("deep",))
    lay(site, "meta", files={"meta.py": ""}, requires=("faster; extra == 'fast'",))
    lay(site, "deep", files={"deep.py": LARGE})
    lay(site, "faster", files={"faster.py": LARGE})
    found = divided(site)
    assert late(site) == {"large", "small", "deep", "faster"}
    assert found["large"].requires == ("deep", "faster", "large", "small")


def test_what_is_there_from_the_beginning_has_all_that_it_requires(site):
    lay(site, "starts", files={"starts.py": "", "starts.pth": "import starts\n"}, requires=("middle",))
    lay(site, "middle", files={"middle.py": LARGE}, requires=("deep",))
    lay(site, "deep", files={"deep.py": LARGE})
    lay(site, "other", files={"other.py": LARGE})
    assert late(site) == {"other"}


def test_a_module_of_the_user_s_own_of_the_same_name_asks_for_nothing(site):
    lay(site, "hidden", files={"utils/__init__.py": LARGE})
    lay(site, "other", files={"other.py": LARGE})
    own = PlannedUnit(name="own", kind=UnitKind.code, root=0, sources=(Source(path="utils.py", origin="/x/utils.py", kind="f"),))
    installed = scan(site, prefix=site.parents[2])
    found = wanted(installed, [], everything=True)
    units = divide(plan_units(installed, found.distributions, found.reasons), found.needed, found.requires, [own])
    assert {one.name for one in units if one.kind is UnitKind.on_demand} == {"other"}


def test_the_front_is_what_may_be_looked_at_without_an_import(site):
    files = {"x/__init__.py": LARGE, "x/inner.py": "", "x/sub/__init__.py": "", "y.py": "", "_x.abi3.so": "", "space/x/__init__.py": ""}
    lay(site, "x", files=files, info={"entry_points.txt": "[console_scripts]\nx = x:main\n"})
    front = divided(site)["metadata"]
    assert front.kind is UnitKind.front and not front.is_installed
    expected = {"METADATA", "INSTALLER", "RECORD", "entry_points.txt"}
    assert {one.path for one in front.sources} == {"site/x/__init__.py", "site/y.py", *(f"site/x-1.0.dist-info/{one}" for one in expected)}


SETUPTOOLS = {
    "setuptools/__init__.py": LARGE,
    "setuptools/dist.py": "",
    "pkg_resources/__init__.py": "",
    "_distutils_hack/__init__.py": "",
    "_distutils_hack/override.py": "",
    "distutils-precedence.pth": "import os; __import__('_distutils_hack').add_shim()\n",
}


def test_setuptools_waits_and_what_stands_in_for_it_is_there(site):
    lay(site, "setuptools", files=SETUPTOOLS)
    found = divided(site)
    assert found["setuptools"].kind is UnitKind.on_demand
    assert found["setuptools"].import_names == ("pkg_resources", "setuptools")
    there = {one.path.removeprefix("site/") for one in found["metadata"].sources if ".dist-info" not in one.path}
    assert there == {*SETUPTOOLS} - {"setuptools/dist.py"}


def test_another_that_acts_at_the_start_beside_such_a_module_does_not_wait(site):
    lay(site, "setuptools", files={**SETUPTOOLS, "another.pth": "import setuptools\n"})
    lay(site, "part", files={"part/__init__.py": LARGE, "distutils-precedence.pth": "import part\n"})
    assert late(site) == set()


def test_that_python_has_loaded_the_stand_in_does_not_make_setuptools_needed(site, tmp_path):
    lay(site, "setuptools", files=SETUPTOOLS)
    (tmp_path / "main.py").write_text("")

    def kind(*loaded: str) -> UnitKind:
        plan = plan_of(
            script=tmp_path / "main.py",
            path=(tmp_path, site),
            modules={name: Loaded(str(site / name / "__init__.py"), (str(site / name),)) for name in loaded},
            site=(str(site),),
            prefix=str(site.parents[2]),
            base_prefix="/usr",
            environment=True,
        )
        return next(one.kind for one in plan.units if one.name == "setuptools")

    assert kind("_distutils_hack") is UnitKind.on_demand
    assert kind("_distutils_hack", "setuptools") is UnitKind.distribution


def test_where_nothing_can_wait_nothing_is_added(site):
    lay(site, "small", files={"small.py": ""})
    assert [one.kind for one in divided(site).values()] == [UnitKind.distribution]


def test_a_licence_with_empty_lines_does_not_hide_what_is_required(site):
    """As pandas has it: the header goes on after a line of spaces."""
    text = "Metadata-Version: 2.1\nName: used\nVersion: 1.0\nLicense: BSD\n        \n        All rights\nRequires-Dist: needed\n\nIt.\n"
    lay(site, "used", files={"used.py": ""}, info={"METADATA": text})
    lay(site, "needed", files={"needed.py": LARGE})
    assert late(site, "used") == set()




def test_a_deployment_of_before_is_still_read():
    """Format 1 knew of nothing that comes on demand; a run that was begun with it can go on."""
    unit = {"name": "x", "digest": "0" * 64, "version": "1", "size": 3}
    told = {
        "format": 1,
        "entry": {"module": "", "script": "main.py", "root": 0},
        "python": "3.11",
        "implementation": "cpython",
        "native": {"machine": "", "system": "", "libc": "", "package": ""},
        "roots": [{"units": [unit], "after_site": False, "archive": "", "inner": ""}],
        "environment": [unit],
        "engine": unit,
    }
    data = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    found = manifest.decode(data, hashlib.sha256(data).hexdigest())
    assert found.on_demand == found.front == ()
    assert [one.name for one in found.units()] == ["x", "x"] and [one.name for one in found.distributions] == ["x"]
    assert manifest.decode(found.encode(), found.digest) == found


def test_what_comes_on_demand_survives_the_way():
    unit = manifest.Unit(name="x", digest="1" * 64)
    one = manifest.OnDemand(unit=unit, import_names=("x", "y"), requires=("z",))
    made = manifest.Deployment(entry=manifest.EntryPoint(), python="3.11", on_demand=(one,), front=(unit,), engine=unit)
    assert manifest.decode(made.encode(), made.digest) == made
