"""Which files go with what is reached, and which do not: filters, secrets, data beside the script, links, limits."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moil.deployment import limits, loose
from moil.deployment.discover import why, why_missing
from moil.deployment.fixed import is_secret
from moil.errors import UsageError
from tests.deployment.projects import git, lay, plan_of, reasons, rules, shipped

PKG = {"main.py": "import pkg", "pkg/__init__.py": ""}


def kinds(plan) -> dict[str, str]:
    return {source.path: source.kind for _, source in plan.sources()}


def test_what_tools_leave_behind_stays_at_home(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, "pkg/__pycache__/x.pyc pkg/x.pyc pkg/node_modules/a.js pkg/env/pyvenv.cfg pkg/env/lib/a.py pkg/.mypy_cache/a pkg/a.egg-info/x")
    lay(tmp_path, "pkg/.git/config pkg/cache/CACHEDIR.TAG pkg/cache/a.py pkg/moil-runs/a/b pkg/kept.txt pkg/env.py")
    assert shipped(plan_of(script=tmp_path / "main.py")) == {"main.py", "pkg/__init__.py", "pkg/kept.txt", "pkg/env.py"}
    assert rules(plan_of(script=tmp_path / "main.py"), tmp_path)["pkg/env/"] == "it is a virtual environment"


def test_neither_the_job_store_nor_old_ones_are_shipped(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, "pkg/store/x.txt store/y.txt old/format old/objects/x old/journal/1 old/tmp/x old/data.txt")
    plan = plan_of(script=tmp_path / "main.py", job_store=f"file://{tmp_path}/store")
    assert shipped(plan) == {"main.py", "pkg/__init__.py", "pkg/store/x.txt"}
    plan = plan_of(script=tmp_path / "main.py", job_store=str(tmp_path / "pkg/store"))
    assert "pkg/store/x.txt" not in shipped(plan)


def test_git_ignores_data_but_not_code(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, {".gitignore": "out/\n*.log\n_version.py\n*.so\n", "pkg/out/x.csv": "", "pkg/out/gen.py": "", "pkg/a.log": "", "pkg/kept.log": ""})
    lay(tmp_path, "pkg/_version.py pkg/fast.cpython-311-x86_64-linux-gnu.so pkg/data.txt top.log out/y")
    git(tmp_path, "init")
    git(tmp_path, "add", "-f", "pkg/kept.log")
    plan = plan_of(script=tmp_path / "main.py")
    assert shipped(plan) == {"main.py", ".gitignore", "pkg/__init__.py", "pkg/out/gen.py", "pkg/kept.log", "pkg/_version.py", "pkg/data.txt", "pkg/fast.cpython-311-x86_64-linux-gnu.so"}
    left_out = rules(plan, tmp_path)
    assert left_out["pkg/out/"] == "git ignores it (.gitignore:1 says 'out/')"
    assert {"pkg/a.log", "top.log", "out/"} <= set(left_out)


def test_what_is_below_another_work_tree_is_asked_there(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, {"pkg/vendored/.gitignore": "*.bin", "pkg/vendored/x.bin": "", "pkg/vendored/y.txt": "", "pkg/z.bin": ""})
    git(tmp_path, "init")
    git(tmp_path / "pkg/vendored", "init")
    plan = plan_of(script=tmp_path / "main.py")
    assert {"pkg/vendored/y.txt", "pkg/z.bin"} <= shipped(plan)
    assert "pkg/vendored/x.bin" not in shipped(plan)


def test_moilignore_overrules_git_both_ways_and_also_speaks_of_code(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, {".gitignore": "*.dat", ".moilignore": "!model.dat\n*.txt\ntests/\n", "pkg/.moilignore": "!special.txt\n"})
    lay(tmp_path, "pkg/model.dat pkg/x.dat pkg/x.txt pkg/special.txt pkg/tests/test_x.py pkg/tests/y.py")
    git(tmp_path, "init")
    plan = plan_of(script=tmp_path / "main.py")
    assert shipped(plan) == {"main.py", ".gitignore", "pkg/__init__.py", "pkg/model.dat", "pkg/special.txt"}
    assert rules(plan, tmp_path)["pkg/tests/"] == f"{tmp_path}/.moilignore says 'tests/'"


def test_include_and_exclude_have_the_last_word(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, {".moilignore": "a.txt\n", "pkg/a.txt": "", "pkg/b.txt": "", "pkg/c.txt": "", "pkg/old/x.py": "", "pkg/out/big.csv": "", "pkg/out/small.csv": ""})
    given = {"include": ("a.txt", "pkg/out/small.csv"), "exclude": ("b.txt", "pkg/old", "pkg/out/")}
    plan = plan_of(script=tmp_path / "main.py", **given)
    assert shipped(plan) == {"main.py", "pkg/__init__.py", "pkg/a.txt", "pkg/c.txt", "pkg/out/small.csv"}
    assert reasons(plan)["pkg/out/small.csv"] == "include: pkg/out/small.csv"
    assert rules(plan, tmp_path)["pkg/b.txt"] == "deploy-exclude says 'b.txt'"


def test_the_entry_is_shipped_whatever_is_said(tmp_path):
    lay(tmp_path, {"main.py": "import helper", "helper.py": ""})
    assert shipped(plan_of(script=tmp_path / "main.py", exclude=("*.py",))) == {"main.py"}


def test_what_is_included_is_relative_to_the_project_and_its_modules_are_followed(tmp_path):
    lay(tmp_path, {"pyproject.toml": "", "src/app/__init__.py": "", "src/app/main.py": "", "src/plugins/a.py": "import needed", "src/needed.py": ""})
    lay(tmp_path, "src/ref/x.csv src/ref/y.txt src/hidden/node_modules/z.js elsewhere/data.csv")
    include = ("src/plugins/*.py", "src/ref/*.csv", "src/hidden/node_modules/z.js", "elsewhere/data.csv", "src/absent.txt", "*.nothing")
    plan = plan_of(module="app.main", path=(tmp_path / "src",), include=include)
    assert shipped(plan) == {"app/__init__.py", "app/main.py", "plugins/a.py", "needed.py", "ref/x.csv", "hidden/node_modules/z.js"}
    told = "\n".join(plan.remarks)
    assert all(word in told for word in ("elsewhere/data.csv", "absent.txt", "*.nothing"))


def test_an_included_package_is_shipped_whole(tmp_path):
    lay(tmp_path, {"main.py": "", "plugins/__init__.py": "", "plugins/a/b.py": "import extra", "plugins/x.txt": "", "extra.py": ""})
    assert shipped(plan_of(script=tmp_path / "main.py", include=("plugins/",))) >= {"plugins/a/b.py", "plugins/x.txt"}


@pytest.mark.parametrize("name", [".env", ".env.local", "server.pem", "deploy.key", "id_rsa", "id_ed25519", ".netrc", ".pypirc", "credentials.json", "credentials-prod.json", "x.kdbx", ".git-credentials", ".pgpass", ".npmrc"])
def test_secrets_are_shipped_by_name_only(tmp_path, name):
    lay(tmp_path, PKG)
    lay(tmp_path, f"{name} pkg/{name} pkg/.aws/config")
    plan = plan_of(script=tmp_path / "main.py", include=("pkg/", "pkg/*"))
    assert shipped(plan) == {"main.py", "pkg/__init__.py"}
    assert "secret" in rules(plan, tmp_path)[name]
    assert f"pkg/{name}" in shipped(plan_of(script=tmp_path / "main.py", include=(f"pkg/{name}",)))


def test_examples_of_secrets_and_code_are_none():
    assert not any(map(is_secret, (".env.example", "id_rsa.pub", "keys.txt", "environment.yaml", "tokenizer.json")))


def test_small_data_beside_the_script_is_shipped_and_large_is_named(tmp_path):
    lay(tmp_path, {"main.py": "", "config.yaml": "x", "conf/deep/a.toml": "x", "scripts/run.sh": "x", "big.bin": b"x" * (1 << 20) + b"x"})
    lay(tmp_path, {"conf/big.bin": b"x" * (1 << 20) + b"x"})
    plan = plan_of(script=tmp_path / "main.py")
    assert shipped(plan) == {"main.py", "config.yaml", "conf/deep/a.toml", "scripts/run.sh"}
    assert rules(plan, tmp_path)["conf/big.bin"] == "it has 1.0 MiB, more than 1 MiB; deploy-include = ['conf/big.bin'] ships it"
    assert f"{tmp_path}/big.bin is not shipped: it has 1.0 MiB" in "\n".join(plan.remarks)
    assert "big.bin" in shipped(plan_of(script=tmp_path / "main.py", include=("big.bin",)))


def test_all_data_beside_the_script_has_a_limit_that_spares_the_small(tmp_path, monkeypatch):
    monkeypatch.setattr(loose, "MOST", 1000)
    monkeypatch.setattr(loose.Loose, "__init__", _with_room(1000, 5000))
    lay(tmp_path, {"main.py": "", "a.cfg": b"x" * 100, "b.bin": b"x" * 950, "data/1": b"x" * 600, "data/2": b"x" * 600, "conf/x": b"x" * 500})
    plan = plan_of(script=tmp_path / "main.py")
    assert shipped(plan) == {"main.py", "a.cfg", "conf/x"}
    assert {"b.bin", "data/"} <= set(rules(plan, tmp_path))
    assert "deploy-include = ['data/']" in rules(plan, tmp_path)["data/"]


def test_a_directory_with_very_many_files_is_not_looked_through(tmp_path, monkeypatch):
    monkeypatch.setattr(loose.Loose, "__init__", _with_room(10_000, 20))
    lay(tmp_path, {"main.py": "", "a.cfg": ""})
    lay(tmp_path / "many", " ".join(f"{number}" for number in range(50)))
    plan = plan_of(script=tmp_path / "main.py")
    assert shipped(plan) == {"main.py", "a.cfg"}
    assert "more than 19 files" in rules(plan, tmp_path)["many/"]


def _with_room(room, room_for):
    def init(self):
        self.found, self.directories, self.left_out = [], [], []
        self.room, self.room_for = room, room_for

    return init


def test_links_that_stay_inside_stay_links_and_others_stand_for_what_is_behind(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, {"pkg/real/x.txt": "x", "away/code.py": "import far", "away/d/y.txt": "y", "away/big.bin": b"x" * (1 << 20) + b"x", "away/s.txt": "", "far.py": ""})
    for name, target in (("pkg/alias", "real"), ("pkg/sub.txt", f"{tmp_path}/pkg/real/x.txt"), ("pkg/code.py", "../away/code.py"), ("pkg/d", "../away/d")):
        (tmp_path / name).symlink_to(target)
    for name, target in (("pkg/big.bin", "../away/big.bin"), ("pkg/s.txt", "../away/s.txt"), ("pkg/broken", "nowhere"), ("pkg/up", ".."), ("pkg/loop", "loop")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "away/d/again").symlink_to(".")
    plan = plan_of(module="main", path=(tmp_path,))
    assert shipped(plan) == {"main.py", "pkg/__init__.py", "pkg/real/x.txt", "pkg/alias", "pkg/sub.txt", "pkg/code.py", "pkg/d/y.txt", "pkg/s.txt", "far.py"}
    targets = {source.path: source.target for _, source in plan.sources() if source.kind == "l"}
    assert targets == {"pkg/alias": "real", "pkg/sub.txt": "real/x.txt"}
    assert {"pkg/big.bin", "pkg/broken", "pkg/up", "pkg/d/again", "pkg/loop"} <= set(rules(plan, tmp_path))
    assert {"pkg/broken", "pkg/up"} <= {one.partition(" is not shipped")[0].removeprefix(f"{tmp_path}/") for one in plan.remarks}


def test_a_link_to_what_is_not_shipped_is_left_out(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, {".moilignore": "v1/", "pkg/v1/x": ""})
    (tmp_path / "pkg/current").symlink_to("v1/x")
    (tmp_path / "pkg/dir").symlink_to("v1")
    assert shipped(plan_of(script=tmp_path / "main.py")) == {"main.py", "pkg/__init__.py"}


def test_a_reached_package_may_itself_be_a_link(tmp_path):
    lay(tmp_path, {"app/main.py": "import pkg, mod", "lib/pkg/__init__.py": "", "lib/pkg/x.txt": "", "lib/mod.py": ""})
    (tmp_path / "app/pkg").symlink_to("../lib/pkg")
    (tmp_path / "app/mod.py").symlink_to("../lib/mod.py")
    plan = plan_of(script=tmp_path / "app/main.py")
    assert shipped(plan) == {"main.py", "pkg/__init__.py", "pkg/x.txt", "mod.py"}
    assert kinds(plan)["mod.py"] == "f"


def test_modes_empty_directories_and_old_times_are_kept(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, "pkg/tool pkg/empty/ pkg/logs/inner/")
    (tmp_path / "pkg/tool").chmod(0o755)
    os.utime(tmp_path / "pkg/__init__.py", (0, 0))
    found = kinds(plan_of(script=tmp_path / "main.py"))
    assert (found["pkg/tool"], found["pkg/empty"], found["pkg/logs/inner"], found["pkg/__init__.py"]) == ("x", "d", "d", "f")
    assert "pkg/logs" not in found


def test_what_is_no_file_is_left_out(tmp_path):
    lay(tmp_path, PKG)
    os.mkfifo(tmp_path / "pkg/pipe")
    with socket.socket(socket.AF_UNIX) as one:
        os.chdir(tmp_path / "pkg")
        one.bind("sock")
        plan = plan_of(script=tmp_path / "main.py")
    assert shipped(plan) == {"main.py", "pkg/__init__.py"}
    assert (rules(plan, tmp_path)["pkg/pipe"], rules(plan, tmp_path)["pkg/sock"]) == ("it is a pipe", "it is a socket")


def test_what_cannot_be_read_is_left_out_and_told(tmp_path, monkeypatch):
    lay(tmp_path, PKG)
    lay(tmp_path, "pkg/locked.txt")
    monkeypatch.setattr("moil.deployment.gather.os.access", lambda path, _how: not path.endswith("locked.txt"))
    plan = plan_of(script=tmp_path / "main.py")
    assert rules(plan, tmp_path)["pkg/locked.txt"] == "it cannot be read"
    assert any("pkg/locked.txt is not shipped" in one for one in plan.remarks)


def test_names_need_not_be_text(tmp_path):
    lay(tmp_path, PKG)
    name = os.fsdecode(b"pkg/\xff\n x.txt")
    lay(tmp_path, {name: "x"})
    git(tmp_path, "init")
    assert name in shipped(plan_of(script=tmp_path / "main.py"))


def test_much_is_remarked_and_far_too_much_is_refused(tmp_path, monkeypatch):
    lay(tmp_path, {"main.py": "import pkg", "pkg/__init__.py": "", "pkg/weights.bin": b"x" * 3000, "pkg/small.txt": "x"})
    monkeypatch.setattr(limits, "LARGE_FILE", 2000)
    monkeypatch.setattr(limits, "LARGE", 2500)
    told = plan_of(script=tmp_path / "main.py").remarks
    assert "pkg/weights.bin has 2.9 KiB and is shipped (package data of pkg); deploy-exclude = ['pkg/weights.bin'] leaves it out" in told
    assert len(told) == 2
    monkeypatch.setattr(limits, "MOST", 2900)
    with pytest.raises(UsageError, match=r"(?s)leave some out.*pkg/weights.bin: deploy-exclude = \['pkg/weights.bin'\]"):
        plan_of(script=tmp_path / "main.py")


def test_why_tells_the_reason_the_rule_or_the_line_that_helps(tmp_path):
    lay(tmp_path, PKG)
    lay(tmp_path, "pkg/data.txt pkg/.env unused/__init__.py unused/x.py lonely/x.py")
    plan = plan_of(module="main", path=(tmp_path,))
    assert why(plan, str(tmp_path / "pkg/data.txt")).endswith("is shipped in 'pkg': package data of pkg")
    assert why(plan, "pkg/__init__.py").endswith("imported by main.py:1")
    assert "its name is that of a secret" in why(plan, str(tmp_path / "pkg/.env"))
    assert "not reached by any import; add it" in why(plan, str(tmp_path / "unused/x.py"))
    assert "deploy-include = ['unused/x.py']" in why(plan, str(tmp_path / "unused/x.py"))
    assert "is not there" in why(plan, str(tmp_path / "absent"))
    assert "lies in no root" in why(plan, os.__file__)
    assert "2 files are shipped" in why(plan, str(tmp_path / "pkg"))


def test_a_root_that_git_ignores_as_a_whole_is_not_judged_by_that(tmp_path):
    lay(tmp_path, {".gitignore": "scratch/\n*.log\n"})
    lay(tmp_path / "scratch", {**PKG, "pkg/data.txt": "", "config.yaml": ""})
    git(tmp_path, "init")
    plan = plan_of(script=tmp_path / "scratch/main.py")
    assert shipped(plan) == {"main.py", "pkg/__init__.py", "pkg/data.txt", "config.yaml"}


def test_git_is_asked_about_a_package_behind_a_link_where_it_really_is(tmp_path):
    lay(tmp_path / "lib", {".gitignore": "*.bin", "pkg/__init__.py": "", "pkg/x.bin": "", "pkg/y.txt": ""})
    lay(tmp_path / "app", {".gitignore": "*.txt", "main.py": "import pkg", "z.txt": ""})
    (tmp_path / "app/pkg").symlink_to("../lib/pkg")
    git(tmp_path / "lib", "init")
    git(tmp_path / "app", "init")
    plan = plan_of(script=tmp_path / "app/main.py")
    assert (shipped(plan), plan.remarks) == ({".gitignore", "main.py", "pkg/__init__.py", "pkg/y.txt"}, ())


def test_a_package_of_another_root_beside_the_script_is_not_called_unreached(tmp_path):
    lay(tmp_path, {"main.py": "import pkg", "src/pkg/__init__.py": "", "src/unused/__init__.py": ""})
    plan = plan_of(script=tmp_path / "main.py", path=(tmp_path, tmp_path / "src"))
    assert (shipped(plan, 0), shipped(plan, 1)) == ({"main.py"}, {"pkg/__init__.py"})
    assert set(rules(plan, tmp_path)) == {"src/unused/"}


def test_the_line_that_helps_is_relative_to_the_project_and_does_help(tmp_path):
    lay(tmp_path, {"pyproject.toml": "", "src/main.py": "", "src/unused/x.py": "", "src/unused/__init__.py": ""})
    given = {"module": "main", "path": (tmp_path / "src",)}
    told = why(plan_of(**given), str(tmp_path / "src/unused/x.py"))
    assert told.endswith("deploy-include = ['src/unused/x.py']")
    assert "unused/x.py" in shipped(plan_of(**given, include=("src/unused/x.py",)))
    assert "unused/x.py" in shipped(plan_of(**given, include=(f"{tmp_path}/src/unused/x.py",)))
    assert "deploy-include = ['src/unused']" in why_missing(plan_of(**given), "unused", given["path"])


def test_why_a_module_is_missing(tmp_path):
    lay(tmp_path, {"main.py": "import pkg, absent", "pkg/__init__.py": "", "pkg/gone.py": "", ".moilignore": "gone.py", "lonely/__init__.py": "", "other/x.py": ""})
    plan = plan_of(script=tmp_path / "main.py", path=(tmp_path,))
    path = [str(tmp_path)]
    assert "says 'gone.py'" in why_missing(plan, "pkg.gone", path)
    assert "no import reaches this package; deploy-include = ['lonely/'] ships it" in why_missing(plan, "lonely", path)
    assert why_missing(plan, "absent", path).startswith("it is imported by main.py:1, and is neither in a root")
    assert "makes it at run time" in why_missing(plan, "never.heard", path)


def test_what_cannot_be_python_is_told(tmp_path):
    lay(tmp_path, {"main.py": "import bad", "bad.py": b"# \xff\nimport other"})
    assert any("bad.py cannot be read as Python" in one for one in plan_of(script=tmp_path / "main.py").remarks)


parts = st.sampled_from(["a", "b", "c.txt", "d.txt", "*", "*.txt", "?.txt", "**", "[ab]"])
patterns = st.lists(st.builds("{}{}{}{}".format, st.sampled_from(["", "!"]), st.sampled_from(["", "/"]), st.lists(parts, min_size=1, max_size=2).map("/".join), st.sampled_from(["", "/"])), max_size=3)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(patterns, patterns)
def test_moilignore_means_what_git_would_mean(outer, inner):
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"
        lay(root, " ".join(f"pkg/{one}" for one in ("c.txt", "d.txt", "a/c.txt", "a/b/d.txt", "b/a/c.txt", "b/d.txt")))
        lay(root, {"main.py": "import pkg", "pkg/__init__.py": "", "pkg/.moilignore": "\n".join(outer), "pkg/a/.moilignore": "\n".join(inner)})
        git(root, "init")
        told = subprocess.run(["git", "ls-files", "--others", "--exclude-per-directory=.moilignore"], cwd=root, capture_output=True, text=True, check=True)
        wanted = {one for one in told.stdout.split() if one.endswith(".txt")}
        assert {one for one in shipped(plan_of(script=root / "main.py")) if one.endswith(".txt")} == wanted


def test_a_secret_inside_a_package_is_remarked_on_since_it_may_be_missed(tmp_path):
    lay(tmp_path, {**PKG, "pkg/certs/ca.pem": "", ".env": ""})
    (told,) = plan_of(script=tmp_path / "main.py").remarks
    assert told == f"{tmp_path}/pkg/certs/ca.pem is not shipped: its name is that of a secret; deploy-include = ['ca.pem'] ships it"


def test_many_remarks_are_cut_short(tmp_path):
    lay(tmp_path, PKG)
    for number in range(9):
        (tmp_path / f"pkg/{number}").symlink_to("nowhere")
    told = plan_of(script=tmp_path / "main.py").remarks
    assert (len(told), told[-1]) == (6, "4 more are not shipped; moil deploy plan shows them")


def test_each_directory_is_read_once_and_each_file_asked_for_once(tmp_path, monkeypatch):
    lay(tmp_path, {"main.py": "import pkg, ns.mod", "pkg/__init__.py": "", "pkg/sub/x.py": "", "pkg/d/y.txt": "", "ns/mod.py": "", "ns/z.txt": "", "data/a.csv": ""})
    read, scandir = [], os.scandir
    monkeypatch.setattr("moil.deployment.tree.os.scandir", lambda path: read.append(path) or scandir(path))
    shipped(plan_of(script=tmp_path / "main.py"))
    assert sorted(read) == sorted(set(read))
