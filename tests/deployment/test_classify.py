"""Whose a file is."""

from __future__ import annotations

import pytest

from moil.deployment.classify import Classifier, Owner
from moil.deployment.sweep import Sweep, sweep_of


@pytest.fixture
def classifier(tmp_path):
    found = Classifier(lambda path: "/owned" in path)
    found.add(Owner.installed, [str(tmp_path / "proj/.venv/lib/site-packages")], site=True)
    found.add(Owner.stdlib, [str(tmp_path / "proj/.venv/lib")])
    found.add(Owner.user, [str(tmp_path / "proj/.venv/src/edited")])
    found.add(Owner.installed, [str(tmp_path / "proj/.venv")])
    return found


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("proj/main.py", Owner.user),
        ("proj/.venv/bin/tool", Owner.installed),
        ("proj/.venv/lib/os.py", Owner.stdlib),
        ("proj/.venv/lib/site-packages/owned.py", Owner.installed),
        ("proj/.venv/lib/site-packages/copied.py", Owner.user),
        ("proj/.venv/src/edited/x.py", Owner.user),
        ("proj/.venv_of_another/x.py", Owner.user),
    ],
)
def test_the_longest_place_decides_by_whole_components(classifier, tmp_path, path, owner):
    assert classifier.owner(str(tmp_path / path)) is owner


def test_a_path_is_known_as_it_really_is_too(classifier, tmp_path):
    (tmp_path / "proj/.venv/lib").mkdir(parents=True)
    (tmp_path / "link").symlink_to("proj")
    assert classifier.owner(str(tmp_path / "link/.venv/lib/os.py")) is Owner.stdlib


@pytest.mark.parametrize(("place", "sweep"), [("/", Sweep.sources), ("/tmp", Sweep.imported), ("/home/somebody", Sweep.imported), ("/u/me", Sweep.imported), ("/u", Sweep.sources), ("/u/me/Downloads", Sweep.sources), ("/u/me/project", Sweep.all), ("/home/somebody/project", Sweep.all)])
def test_how_much_of_a_place_may_be_swept_in(place, sweep):
    assert sweep_of(place, "/u/me") is sweep


def test_a_temporary_directory_is_one_wherever_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert sweep_of(str(tmp_path), "/u/me") is Sweep.imported
