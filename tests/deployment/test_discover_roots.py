"""Where a program starts, and which entries of the import path hold its code: the rows of what must hold."""

from __future__ import annotations

import json
import os
import sys
import zipapp
from pathlib import Path

import pytest

from moil.deployment.request import Loaded
from moil.errors import UsageError
from tests.deployment.projects import lay, names, plan_of, python, reasons, rules, shipped

SHOW = """
import json, sys
from moil.deployment.discover import Request, discover, loaded_modules
from moil.runtime import entry
import os
def show(**more):
    program = entry.find()
    plan = discover(Request(
        module=program.module, script=program.script, path=program.path, modules=loaded_modules(), environment=False,
        memory=None, **more))
    print(json.dumps({
        "entry": [plan.entry.module, plan.entry.script, plan.entry.root],
        "roots": [[one.origin, one.after_site, one.archive] for one in plan.roots],
        "files": sorted(f"{unit.root}:{source.path}" for unit in plan.units if unit.root >= 0 for source in unit.sources),
        "remarks": plan.remarks,
    }))
"""


def shown(cwd: Path, *words: str, **env: str) -> dict:
    return json.loads(python(cwd, *words, **env))


def test_beside_a_script_every_module_is_shipped_and_packages_if_they_are_reached(tmp_path):
    lay(tmp_path, "utilities.py other.py lib/__init__.py lib/deep/__init__.py lib/deep/t.html unused/__init__.py unused/x.py")
    lay(tmp_path, {"main.py": "import utilities\ndef f():\n    from lib import deep\n"})
    plan = plan_of(script=tmp_path / "main.py")
    assert shipped(plan) == {"main.py", "utilities.py", "other.py", "lib/__init__.py", "lib/deep/__init__.py", "lib/deep/t.html"}
    assert names(plan) == ["lib", "files beside main.py"]
    assert (plan.entry.script, plan.entry.root, plan.roots[0].origin) == ("main.py", 0, str(tmp_path))
    assert reasons(plan)["other.py"] == "beside main.py"
    assert reasons(plan)["lib/deep/__init__.py"] == "imported by main.py:3"
    assert reasons(plan)["lib/deep/t.html"] == "package data of lib"
    assert "no import reaches" in rules(plan, tmp_path)["unused/"]


def test_siblings_that_nobody_imports_bring_what_they_import(tmp_path):
    lay(tmp_path, {"main.py": "", "plugin.py": "import extra", "extra/__init__.py": ""})
    assert "extra/__init__.py" in shipped(plan_of(script=tmp_path / "main.py"))


def test_a_module_is_run_from_its_root_with_what_it_reaches_of_its_siblings(tmp_path):
    lay(tmp_path, {"workflow/__init__.py": "", "workflow/main.py": "from utils import io", "utils/__init__.py": "", "utils/io.py": ""})
    lay(tmp_path, "docs/conf.py setup.py data.csv")
    lay(tmp_path / "workflow", {"show.py": SHOW, "run.py": "from workflow import show, main\nif __name__ == '__main__': show.show()"})
    told = shown(tmp_path, "-m", "workflow.run")
    assert told["entry"] == ["workflow.run", "", 0]
    assert told["roots"] == [[str(tmp_path), False, ""]]
    assert {"0:utils/io.py", "0:workflow/run.py", "0:utils/__init__.py"} <= set(told["files"])
    assert not {"0:docs/conf.py", "0:setup.py", "0:data.csv"} & set(told["files"])


def test_and_from_elsewhere_by_pythonpath(tmp_path):
    root, elsewhere = lay(tmp_path / "root", {"workflow/__init__.py": "", "utils.py": "", "show.py": SHOW}), tmp_path / "elsewhere"
    lay(root, {"workflow/main.py": "import utils, show\nif __name__ == '__main__': show.show()"})
    elsewhere.mkdir()
    told = shown(elsewhere, "-m", "workflow.main", PYTHONPATH=str(root))
    assert told["roots"] == [[str(root), False, ""]]
    assert told["files"] == ["0:show.py", "0:utils.py", "0:workflow/__init__.py", "0:workflow/main.py"]


def test_several_roots_stay_in_order_and_those_that_are_not_reached_stay_at_home(tmp_path):
    a, b, c = (lay(tmp_path / name, {f"in_{name}.py": "", "both.py": ""}) for name in "abc")
    main = lay(tmp_path / "app", {"main.py": "import in_c, in_a, both"}) / "main.py"
    plan = plan_of(script=main, path=(main.parent, a, b, c))
    assert [one.origin for one in plan.roots] == [str(main.parent), str(a), str(c)]
    assert (shipped(plan, 1), shipped(plan, 2)) == ({"in_a.py", "both.py"}, {"in_c.py"})


def test_a_script_inside_a_package_stays_a_script_and_brings_the_outermost_package(tmp_path):
    lay(tmp_path, {"pkg/__init__.py": "", "pkg/sub/__init__.py": "", "pkg/sub/main.py": "import near, far", "pkg/sub/near.py": ""})
    lay(tmp_path, {"pkg/data.csv": "1", "far.py": "", "other/__init__.py": ""})
    plan = plan_of(script=tmp_path / "pkg/sub/main.py")
    assert shipped(plan) == {"pkg/__init__.py", "pkg/data.csv", "pkg/sub/__init__.py", "pkg/sub/main.py", "pkg/sub/near.py"}
    assert (plan.roots[0].origin, plan.roots[0].inner, plan.entry.script) == (str(tmp_path), "pkg/sub", "pkg/sub/main.py")
    assert reasons(plan)["pkg/sub/near.py"] == "imported by pkg/sub/main.py:1"


def test_a_link_to_a_script_is_followed_as_python_does(tmp_path):
    lay(tmp_path, {"real/main.py": "import near", "real/near.py": "", "bin/far.py": ""})
    (tmp_path / "bin/run").symlink_to("../real/main.py")
    plan = plan_of(script=tmp_path / "bin/run", path=(tmp_path / "real",))
    assert (plan.roots[0].origin, shipped(plan)) == (str(tmp_path / "real"), {"main.py", "near.py"})


def test_a_script_needs_no_suffix(tmp_path):
    lay(tmp_path, {"run": "#!/usr/bin/env python\nimport pkg", "pkg/__init__.py": ""})
    (tmp_path / "run").chmod(0o755)
    plan = plan_of(script=tmp_path / "run")
    assert shipped(plan) == {"run", "pkg/__init__.py"}
    assert {source.path: source.kind for _, source in plan.sources()}["run"] == "x"


def test_an_archive_is_a_root_and_its_imports_count(tmp_path):
    source = lay(tmp_path / "source", {"inner.py": "import outside", "show.py": SHOW})
    lay(source, {"__main__.py": "import inner, show\nshow.show()"})
    lay(tmp_path / "more", {"outside.py": "", "unused.py": ""})
    zipapp.create_archive(source, tmp_path / "app.pyz")
    told = shown(tmp_path, str(tmp_path / "app.pyz"), PYTHONPATH=str(tmp_path / "more"))
    assert told["entry"] == ["", "", 0]
    assert told["roots"] == [[f"{tmp_path}/app.pyz", False, "app.pyz"], [f"{tmp_path}/more", False, ""]]
    assert told["files"] == ["0:app.pyz", "1:outside.py"]
    plan = plan_of(script=tmp_path / "app.pyz", path=(tmp_path / "app.pyz", tmp_path / "more"))
    assert (shipped(plan, 0), shipped(plan, 1)) == ({"app.pyz"}, {"outside.py"})


def test_a_directory_is_run_by_its_main(tmp_path):
    app = lay(tmp_path / "app", {"__main__.py": "import beside, show\nshow.show()", "beside.py": "", "show.py": SHOW})
    told = shown(tmp_path, "app")
    assert told["entry"] == ["", "", 0]
    assert told["roots"] == [[str(app), False, ""]]
    assert told["files"] == ["0:__main__.py", "0:beside.py", "0:show.py"]
    assert plan_of(script=app, path=(app,)).entry.script == ""


@pytest.mark.parametrize("words", [("-c", "import show; show.show()"), ("-",)])
def test_without_a_file_what_is_loaded_is_shipped(tmp_path, words):
    lay(tmp_path, {"show.py": SHOW, "unused.py": ""})
    if words == ("-",):
        (tmp_path / "in").write_text("import show; show.show()")
        words = ("-c", "import sys; exec(compile(open('in').read(), '<stdin>', 'exec'))")
    told = shown(tmp_path, *words)
    assert (told["entry"], told["files"]) == (["", "", -1], ["0:show.py"])


def test_what_is_loaded_by_a_made_up_name_is_reached_and_what_lies_nowhere_is_told(tmp_path):
    root = lay(tmp_path / "root", "pkg/__init__.py pkg/late.py main.py scripts/tool.py")
    away = lay(tmp_path / "away", "stray.py") / "stray.py"
    modules = {"x": Loaded(str(root / "pkg/late.py")), "y": Loaded(str(root / "scripts/tool.py")), "z": Loaded(str(away))}
    plan = plan_of(script=root / "main.py", modules=modules)
    assert shipped(plan) == {"main.py", "pkg/__init__.py", "pkg/late.py", "scripts/tool.py"}
    assert reasons(plan)["pkg/late.py"] == "the program has loaded it"
    assert [one for one in plan.remarks if "stray.py" in one and "not shipped" in one]


def test_the_portions_of_a_namespace_go_where_they_were_and_get_no_init(tmp_path):
    one = lay(tmp_path / "one", "ns/alpha/__init__.py ns/alpha/a.txt ns/unused/__init__.py")
    two = lay(tmp_path / "two", "ns/beta/__init__.py ns/beta/deep/mod.py ns/single.py ns/beside.py")
    main = lay(tmp_path / "app", {"main.py": "import ns.alpha, ns.beta.deep.mod\nfrom ns import single"}) / "main.py"
    plan = plan_of(script=main, path=(main.parent, one, two))
    assert shipped(plan, 1) == {"ns/alpha/__init__.py", "ns/alpha/a.txt"}
    assert shipped(plan, 2) == {"ns/beta/__init__.py", "ns/beta/deep/mod.py", "ns/single.py", "ns/beside.py"}
    assert names(plan) == ["files beside main.py", "ns.alpha", "ns.beta", "modules in two"]


def test_a_directory_without_init_is_as_good_as_a_package_for_what_is_in_it(tmp_path):
    lay(tmp_path, {"workflow/main.py": "import workflow.steps", "workflow/steps.py": "", "workflow/by_name.py": "", "workflow/c.toml": ""})
    plan = plan_of(module="workflow.main", path=(tmp_path,))
    assert shipped(plan) == {"workflow/main.py", "workflow/steps.py", "workflow/by_name.py", "workflow/c.toml"}


def test_a_bare_namespace_does_not_sweep_in_what_lies_in_a_directory_of_an_installed_name(tmp_path):
    lay(tmp_path, {"main/__init__.py": "import email, json", "email/letters.mbox": "x"})
    assert shipped(plan_of(module="main", path=(tmp_path,))) == {"main/__init__.py"}


def test_a_relative_import_is_resolved_in_its_package(tmp_path):
    lay(tmp_path, {"ns/a/__init__.py": "", "ns/a/x.py": "from ..b import y", "ns/b/__init__.py": "", "ns/b/y.py": "", "b/__init__.py": ""})
    plan = plan_of(module="ns.a.x", path=(tmp_path,))
    assert shipped(plan) == {"ns/a/__init__.py", "ns/a/x.py", "ns/b/__init__.py", "ns/b/y.py"}


def test_prefixes_are_compared_by_components(tmp_path):
    (tmp_path / "V").mkdir()
    lay(tmp_path / "V_project", {"main.py": "import helper", "helper.py": ""})
    plan = plan_of(script=tmp_path / "V_project/main.py", prefix=str(tmp_path / "V"), base_prefix="/usr")
    assert shipped(plan) == {"main.py", "helper.py"}


def test_a_project_behind_a_link_is_one_root(tmp_path):
    lay(tmp_path / "real", {"main.py": "import helper", "helper.py": ""})
    (tmp_path / "link").symlink_to("real")
    plan = plan_of(script=tmp_path / "link/main.py", path=(tmp_path / "link", tmp_path / "real"), modules={"helper": Loaded(str(tmp_path / "link/helper.py"))})
    assert (shipped(plan), len(plan.roots)) == ({"main.py", "helper.py"}, 1)


def test_the_environment_inside_the_project_is_no_part_of_it(tmp_path):
    site = tmp_path / ".venv/lib/python3.11/site-packages"
    lay(site, {"dep/__init__.py": "", "dep-1.dist-info/METADATA": "Name: dep\nVersion: 1\n", "dep-1.dist-info/RECORD": "dep/__init__.py,,\n"})
    lay(site, "copied/__init__.py copied/data.txt lonely.py")
    lay(tmp_path / ".venv", {"pyvenv.cfg": "", "src/edited/editable/__init__.py": ""})
    lay(tmp_path, {"main.py": "import dep, copied, editable"})
    given = {"prefix": str(tmp_path / ".venv"), "base_prefix": "/usr", "site": (str(site),)}
    plan = plan_of(script=tmp_path / "main.py", path=(tmp_path, site), environment=True, **given)
    assert shipped(plan, 0) == {"main.py"}
    assert shipped(plan, 1) == {"copied/__init__.py", "copied/data.txt", "lonely.py"}
    assert plan.roots[1].after_site
    assert [unit.name for unit in plan.units if unit.root < 0] == ["dep"]


def test_a_root_behind_the_site_directories_stays_there(tmp_path):
    site = lay(tmp_path / "lib/site-packages", {"__editable__.thing-1.pth": str(tmp_path / "src")})
    info = {"METADATA": "Name: thing\nVersion: 1\n", "RECORD": "__editable__.thing-1.pth,,\n", "direct_url.json": '{"url": "file:///x", "dir_info": {"editable": true}}'}
    lay(site / "thing-1.dist-info", info)
    lay(tmp_path / "src", "thing/__init__.py thing/data.json other/__init__.py")
    main = lay(tmp_path / "app", {"main.py": "import thing"}) / "main.py"
    plan = plan_of(script=main, path=(main.parent, site, tmp_path / "src"), site=(str(site),))
    assert [(one.origin, one.after_site) for one in plan.roots][1:] == [(str(tmp_path / "src"), True)]
    assert plan.roots[1].reason == "editable install of thing"
    assert shipped(plan, 1) == {"thing/__init__.py", "thing/data.json"}


def test_a_finder_hook_maps_names_to_places(tmp_path):
    site = tmp_path / "lib/site-packages"
    finder = f"MAPPING: dict[str, str] = {{'thing': '{tmp_path}/source', 'mod': '{tmp_path}/mod'}}\nNAMESPACES: dict = {{}}\n"
    lay(site, {"__editable___thing_1_finder.py": finder, "__editable__.thing-1.pth": "import __editable___thing_1_finder; x.install()"})
    record = "__editable___thing_1_finder.py,,\n__editable__.thing-1.pth,,\n"
    lay(site / "thing-1.dist-info", {"METADATA": "Name: thing\nVersion: 1\n", "RECORD": record})
    lay(tmp_path, {"source/__init__.py": "import mod", "source/sub/x.txt": "", "mod.py": "", "elsewhere.py": ""})
    main = lay(tmp_path / "app", {"main.py": "import thing.sub"}) / "main.py"
    plan = plan_of(script=main, path=(main.parent, site), site=(str(site),))
    assert shipped(plan, 1) == {"thing/__init__.py", "thing/sub/x.txt", "mod.py"}
    assert {one.path: one.origin for _, one in plan.sources()}["thing/sub/x.txt"] == f"{tmp_path}/source/sub/x.txt"
    assert "thing" in [unit.name for unit in plan.units if unit.root < 0], "its metadata travel as a distribution"


def test_what_is_not_there_is_told_before_anything_else(tmp_path):
    with pytest.raises(UsageError, match="absent.py is not there"):
        plan_of(script=tmp_path / "absent.py")
    with pytest.raises(UsageError, match="there is no module absent"):
        plan_of(module="absent", path=(tmp_path,))


def test_names_that_nobody_has_are_known_for_later(tmp_path):
    lay(tmp_path, {"main.py": "import absent, pkg.absent, os, moil", "pkg/__init__.py": ""})
    plan = plan_of(script=tmp_path / "main.py")
    assert plan.unresolved == {"absent": "imported by main.py:1", "pkg.absent": "imported by main.py:1"}


def test_the_engine_is_never_shipped_as_the_users_code(tmp_path):
    lay(tmp_path, {"src/moil/__init__.py": "", "src/moil/core.py": "", "main.py": "import moil.core"})
    plan = plan_of(script=tmp_path / "main.py", path=(tmp_path, tmp_path / "src"), engine=tmp_path / "src/moil")
    assert shipped(plan) == {"main.py"}


def test_modules_that_are_no_modules_do_no_harm(tmp_path):
    lay(tmp_path, {"show.py": SHOW, "main.py": """
import importlib.util, sys, types
class Proxy:
    def __getattribute__(self, name): raise RuntimeError(name)
sys.modules.update({"nothing": None, "proxy": Proxy(), "bare": types.ModuleType("bare"), 3: types.ModuleType("three")})
spec = importlib.util.spec_from_file_location("lazy", "lazy.py")
lazy = importlib.util.module_from_spec(spec)
sys.modules["lazy"] = lazy
importlib.util.LazyLoader(spec.loader).exec_module(lazy)
import show; show.show()
""", "lazy.py": "raise SystemExit('it was executed')"})
    assert "0:lazy.py" in shown(tmp_path, "main.py")["files"]


@pytest.mark.parametrize("place", ["home", "above"])
def test_a_stray_script_does_not_sweep_the_disk_in(tmp_path, place):
    home = tmp_path / "u"
    where = home if place == "home" else tmp_path
    lay(where, {"main.py": "import reached", "reached.py": "", "private.txt": "", "other.py": "", "dir/x.csv": ""})
    home.mkdir(exist_ok=True)
    expected = {"main.py", "reached.py"} | ({"other.py"} if place == "above" else set())
    assert shipped(plan_of(script=where / "main.py", home=str(home))) == expected


def test_a_discovery_executes_nothing_of_the_users(tmp_path):
    lay(tmp_path, {"main.py": "import pkg.a\nraise SystemExit(3)", "pkg/__init__.py": "raise SystemExit(4)", "pkg/a.py": "raise SystemExit(5)"})
    before = set(sys.modules)
    plan_of(script=tmp_path / "main.py")
    assert not {name for name in set(sys.modules) - before if name.startswith("pkg")}
    assert not list(tmp_path.rglob("__pycache__"))
    assert os.getcwd()


def test_an_installed_module_is_run_from_its_distribution(tmp_path):
    site = lay(tmp_path / "lib/site-packages", "dep/__init__.py dep/tool.py other/__init__.py")
    lay(site / "dep-1.dist-info", {"METADATA": "Name: dep\nVersion: 1\n", "RECORD": "dep/__init__.py,,\ndep/tool.py,,\n"})
    main = {"__main__": Loaded(str(site / "dep/tool.py"))}
    plan = plan_of(module="dep.tool", path=(tmp_path, site), site=(str(site),), modules=main)
    assert (plan.entry.module, plan.entry.root, shipped(plan)) == ("dep.tool", -1, set())
    assert [unit.name for unit in plan.units] == ["dep"]


def test_a_main_module_that_is_another_program_is_no_start(tmp_path):
    lay(tmp_path, "app/__init__.py app/main.py")
    plan = plan_of(module="app.main", path=(tmp_path,), modules={"__main__": Loaded("/elsewhere/pytest/__main__.py")})
    assert plan.roots[0].origin == str(tmp_path)
