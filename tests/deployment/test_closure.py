"""Requirements, plain and otherwise, are read as the packaging library reads them."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement

from moil.deployment import closure
from moil.deployment.metadata import canonical

PLAIN = ["rich", "pygments<3.0.0,>=2.13.0", "a.b-c_d (>=1.0)", "zope.interface >= 4 , <6", " x ", "foo===1.0", "foo!=1.*", "A1"]
OTHERS = [
    "foo[bar,baz]>=1", "foo; python_version<'3'", "foo; python_version>='3'", "foo @ https://example.org/foo.whl",
    "foo; extra=='x'", "foo>=1; extra == 'x' or python_version > '3'", "foo[a]; extra == 'x'", "", "-foo", "foo bar", "foo;", "foo>=",
]  # fmt: skip


def judged(text, extra):
    """What the library says."""
    try:
        one = Requirement(text)
    except InvalidRequirement:
        return []
    holds = one.marker is None or one.marker.evaluate({**default_environment(), "extra": extra})
    return [(canonical(one.name), one.extras)] if holds else []


def needs(text, extra):
    return list(closure._needs(SimpleNamespace(requires=(text,)), extra))


@pytest.mark.parametrize("extra", ["", "x"])
@pytest.mark.parametrize("text", [one for one in (*PLAIN, *OTHERS) if one != "foo>="])
def test_they_are_read_as_the_library_reads_them(text, extra):
    assert needs(text, extra) == judged(text, extra)


@given(
    name=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True),
    versions=st.lists(st.tuples(st.sampled_from(["<", "<=", "!=", "==", ">=", ">", "~="]), st.from_regex(r"[0-9]\.[0-9]{1,2}", fullmatch=True)), max_size=3),
    spaces=st.sampled_from(["", " "]),
)
def test_names_with_versions(name, versions, spaces):
    text = f"{name}{spaces}{f',{spaces}'.join(f'{how}{spaces}{version}' for how, version in versions)}"
    assert needs(text, "") == judged(text, "")


def test_what_cannot_be_a_version_still_names_something():
    assert needs("foo>=", "") == [("foo", set())]


def test_plain_ones_need_no_library():
    code = (
        "import sys; from types import SimpleNamespace; from moil.deployment import closure; "
        f"print(len(list(closure._needs(SimpleNamespace(requires={PLAIN!r}), ''))), 'packaging' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [str(len(PLAIN)), "False"]
