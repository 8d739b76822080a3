"""Which variables the workers get."""

import pytest

from moil.deployment.variables import allowed, looks_secret
from moil.errors import UsageError

HOME = {
    "PATH": "/bin",
    "HOME": "/home/x",
    "LANG": "C.UTF-8",
    "LC_ALL": "C",
    "TZ": "Asia/Kolkata",
    "OMP_NUM_THREADS": "4",
    "PYTHONHASHSEED": "7",
    "PYTHONWARNINGS": "error",
    "PYTHONPATH": "/home/x/lib",
    "PYTHONHOME": "/usr",
    "PYTHONSTARTUP": "/home/x/.pythonrc",
    "PYTHON_API_TOKEN": "s3cret",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "LD_LIBRARY_PATH": "/opt/lib",
}


def test_what_is_on_the_list_goes_and_nothing_else():
    assert allowed(HOME, ()) == {name: HOME[name] for name in ("LANG", "LC_ALL", "TZ", "OMP_NUM_THREADS", "PYTHONHASHSEED", "PYTHONWARNINGS")}


def test_what_the_user_asks_for_always_goes():
    extra = ("AWS_SECRET_ACCESS_KEY", "LD_LIBRARY_PATH=/a=b", "TZ=UTC", "EMPTY=", "PYTHONPATH")
    got = allowed(HOME, extra)
    assert [got[name] for name in ("AWS_SECRET_ACCESS_KEY", "LD_LIBRARY_PATH", "TZ", "EMPTY", "PYTHONPATH")] == ["s3cret", "/a=b", "UTC", "", "/home/x/lib"]


def test_a_name_without_a_value_is_told():
    with pytest.raises(UsageError, match="--env NOPE: the variable is not set here"):
        allowed(HOME, ("NOPE",))


@pytest.mark.parametrize("name", ["API_KEY", "MY_PASSWORD", "GITHUB_TOKEN", "aws_secret", "X_AUTH", "PGPASSWD", "KEYS", "CREDENTIALS_FILE"])
def test_names_that_look_secret(name):
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["KEYBOARD", "AUTHOR", "PYTHONHASHSEED", "MONKEY", "LC_ALL"])
def test_names_that_do_not(name):
    assert not looks_secret(name)
