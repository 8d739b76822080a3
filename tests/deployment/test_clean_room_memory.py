"""What the clean room remembers: a program that has passed does not pay again because it is to work on something else."""

import pathlib
import pickle

import pytest

from moil.record import changed
from moil.deployment import clean_room
from moil.deployment.clean_room import Rehearsal
from moil.deployment.manifest import EntryPoint
from moil.deployment.plan import Plan
from moil.deployment.rehearsal import Finding
from moil.errors import DeploymentError


@pytest.fixture
def tried(monkeypatch):
    """The rehearsals that were held."""
    held = []

    def hold(what):
        held.append(what)
        return Finding()

    monkeypatch.setattr(clean_room, "_tried", hold)
    return held


@pytest.fixture
def first(tmp_path):
    return Rehearsal(
        script=lambda _: "",
        python="python3",
        plan=Plan(entry=EntryPoint()),
        deployment="d1",
        modules=("main",),
        call=pickle.dumps((print, (pathlib.PurePath("a"),))),
        forbidden=(),
        memory=tmp_path / "rehearsed",
        explain=lambda name: name,
    )


def test_other_arguments_make_no_difference(first, tried):
    clean_room.rehearse(first)
    clean_room.rehearse(first)
    clean_room.rehearse(changed(first, call=pickle.dumps((print, (pathlib.PurePath("another"),)))))
    assert len(tried) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"call": pickle.dumps((len, (pathlib.PurePath("a"),)))},
        {"call": pickle.dumps((print, ("a",)))},
        {"call": b""},
        {"call": b"no pickle"},
        {"deployment": "d2"},
        {"python": "python4"},
        {"modules": ("main", "more")},
    ],
)
def test_what_is_another_program_is_tried(first, tried, other):
    clean_room.rehearse(first)
    clean_room.rehearse(changed(first, **other))
    assert len(tried) == 2


def test_what_has_failed_is_tried_again(first, monkeypatch, tried):
    monkeypatch.setattr(clean_room, "_tried", lambda _: Finding(error="ValueError: alas"))
    with pytest.raises(DeploymentError, match="alas"):
        clean_room.rehearse(first)
    monkeypatch.undo()
    monkeypatch.setattr(clean_room, "_tried", lambda what: tried.append(what) or Finding())
    clean_room.rehearse(first)
    assert len(tried) == 1
