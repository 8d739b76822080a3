"""Scripts that say what they need."""

import importlib.metadata
import platform

import pytest

from moil.deployment import inline
from moil.deployment.inline import Needs, needs, python_for
from moil.errors import UsageError

BLOCK = """\
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "numpy>=2",
#
#   "cloudpickle ; python_version > '3'",
# ]
# ///
"""


def script(tmp_path, text: str, name: str = "script.py") -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def silent(text: str) -> None:
    pass


def test_a_block_is_read(tmp_path):
    found = needs(script(tmp_path, f"#!/usr/bin/env python3\nimport numpy\n\n{BLOCK}\nprint(1)\n"))
    assert found.dependencies == ("numpy>=2", 'cloudpickle; python_version > "3"')
    assert found.requires_python == ">=3.11"


@pytest.mark.parametrize("text", ["", "# /// other\n# x = 1\n# ///\n", "# /// script\n# dependencies = ['x']\n", f"x = '''\n {BLOCK}'''"])
def test_what_is_no_block(tmp_path, text):
    assert needs(script(tmp_path, text)).dependencies == ()


def test_the_engine_is_there_already(tmp_path):
    found = needs(script(tmp_path, "# /// script\n# dependencies = ['Moil', 'x']\n# ///\n"))
    assert found.dependencies == ("x",)


def test_an_archive_has_no_block(tmp_path):
    assert needs(script(tmp_path, BLOCK, "app.pyz")) == Needs(script=str(tmp_path / "app.pyz"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{BLOCK}\n{BLOCK}", "has 2 blocks"),
        ("# /// script\n# dependencies = [\n# ///\n", "is not valid TOML"),
        ("# /// script\n# dependencies = 'numpy'\n# ///\n", "no list of texts"),
        ("# /// script\n# dependencies = ['--index-url x']\n# ///\n", "cannot be understood"),
        ("# /// script\n# requires-python = 'new'\n# ///\n", "cannot be understood: Invalid specifier: 'new'"),
        ("# /// script\n# dependencies = ['moil>=1000']\n# ///\n", "needs moil>=1000, and this is Moil 0"),
        ("# /// script\n# requires-python = 3\n# ///\n", "cannot be understood"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, says):
    with pytest.raises(UsageError, match=says) as raised:
        needs(script(tmp_path, text))
    assert "script.py" in str(raised.value) and "\n" not in str(raised.value)


def test_another_python_is_asked_for():
    with pytest.raises(UsageError, match=rf"needs Python >=4, and this is Python {platform.python_version()}"):
        python_for(Needs(script="a.py", requires_python=">=4"), silent)


def test_nothing_is_made_for_a_script_that_needs_nothing():
    assert python_for(Needs(script="a.py", requires_python=">=3.8"), silent) == ""


@pytest.fixture
def no_uv(monkeypatch):
    monkeypatch.setattr(inline, "_uv", list)


def test_without_uv_what_is_installed_will_do(no_uv):
    version = importlib.metadata.version("cloudpickle")
    wanted = Needs(script="a.py", dependencies=(f"cloudpickle=={version}", "absent; python_version < '3'"))
    assert python_for(wanted, silent) == ""


def test_without_uv_what_is_missing_is_named(no_uv):
    wanted = Needs(script="a.py", dependencies=("cloudpickle", "no-such-thing>=2"))
    with pytest.raises(UsageError, match="needs no-such-thing>=2, and there is no uv .*install uv, or install the dep"):
        python_for(wanted, silent)
