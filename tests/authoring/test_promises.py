"""What a promise allows, and how it refuses everything else: at once, naming the job and the cure."""

import copy
import math
import os
import pickle
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from moil.authoring.promise import Details, Promise, details, return_hint
from moil.errors import PromiseError


class Named(NamedTuple):
    left: int
    right: tuple[str, str]


@dataclass
class Holder:
    pair: tuple[int, int]


def two() -> tuple[int, str]: ...


def named() -> Named: ...


def many() -> tuple[int, ...]: ...


def holder() -> Holder: ...


def nothing(): ...


def forgotten() -> "tuple[NoSuchName, int]": ...  # noqa: F821


def empty() -> tuple[()]: ...


def nested() -> tuple[tuple[int, int], Named]: ...


def rows() -> tuple[tuple[int, int], ...]: ...


def promise_of(fn):
    return Promise(Details(object(), 3, fn.__name__, return_hint(fn)))


REFUSED = {
    "truth": lambda p: bool(p),
    "if": lambda p: 1 if p else 2,
    "not": lambda p: not p,
    "equal": lambda p: p == 1,
    "unequal": lambda p: p != 1,
    "less": lambda p: p < 1,
    "at least": lambda p: p >= 1,
    "hash": lambda p: {p},
    "key": lambda p: {p: 1},
    "str": lambda p: str(p),
    "format": lambda p: f"{p}",
    "percent": lambda p: "{}".format(p),
    "int": lambda p: int(p),
    "float": lambda p: float(p),
    "index": lambda p: [1, 2][p],
    "range": lambda p: range(p),
    "round": lambda p: round(p),
    "floor": lambda p: math.floor(p),
    "len": lambda p: len(p),
    "in": lambda p: 1 in p,
    "for": lambda p: list(p),
    "next": lambda p: next(p),
    "reversed": lambda p: reversed(p),
    "call": lambda p: p(),
    "add": lambda p: p + 1,
    "added": lambda p: 1 + p,
    "multiply": lambda p: 2 * p,
    "negate": lambda p: -p,
    "union": lambda p: p | {1},
    "augment": lambda p: p.__iadd__(1),
    "set item": lambda p: p.__setitem__(0, 1),
    "set attribute": lambda p: setattr(p, "x", 1),
    "delete attribute": lambda p: delattr(p, "x"),
    "with": lambda p: p.__enter__(),
    "path": lambda p: os.fspath(p),
    "pickle": lambda p: pickle.dumps(p),
    "by promise": lambda p: p[p],
    "sum": lambda p: sum([p, 1]),
    "sort": lambda p: sorted([p, p]),
    "max": lambda p: max(p, 1),
}


@pytest.mark.parametrize("how", REFUSED)
def test_it_refuses_what_needs_the_value(how):
    with pytest.raises(PromiseError) as caught:
        REFUSED[how](promise_of(nothing))
    assert "nothing(…) is a promise" in str(caught.value)
    assert "nothing.fn(…)" in str(caught.value)


def test_parts_are_promises_too():
    part = promise_of(nothing)["key"].name[3]
    assert details(part).path == (("item", "key"), ("attr", "name"), ("item", 3))
    assert details(part).describe() == "nothing(…)['key'].name[3]"


def test_a_tuple_of_known_length_unpacks():
    left, right = promise_of(two)
    assert [details(one).path for one in (left, right)] == [(("item", 0),), (("item", 1),)]


def test_so_does_a_named_tuple_and_a_part_of_known_type():
    _, right = promise_of(named)
    assert len(list(right)) == 2
    assert len(list(promise_of(holder).pair)) == 2


def test_one_of_unknown_length_says_how_to_make_it_known():
    with pytest.raises(PromiseError, match=r"annotate the job's return type as tuple\[X, Y\]"):
        list(promise_of(many))


def test_copies_are_itself():
    promise = promise_of(nothing)
    assert copy.copy(promise) is promise
    assert copy.deepcopy([promise])[0] is promise


def test_debuggers_may_look_at_it():
    assert repr(promise_of(nothing)[0]) == "<promise of nothing(…)[0]>"


def test_dunder_names_are_no_parts():
    assert not hasattr(promise_of(nothing), "__array__")


def test_parts_of_tuples_unpack_as_deep_as_the_type_says():
    (one, two), (left, right) = promise_of(nested)
    assert details(two).path == (("item", 0), ("item", 1))
    assert [len(list(right)), details(left).path] == [2, (("item", 1), ("item", 0))]
    first, second = promise_of(rows)[7]
    assert details(second).path == (("item", 7), ("item", 1))
    assert list(promise_of(empty)) == []


@pytest.mark.parametrize(
    "part",
    [
        promise_of(forgotten),
        promise_of(two)[5],
        promise_of(two)[-3],
        promise_of(named)[2],
        promise_of(holder).other,
        promise_of(holder)["pair"],
        promise_of(nothing).pair,
        promise_of(two).left,
    ],
    ids=repr,
)
def test_what_the_type_does_not_say_is_not_guessed(part):
    with pytest.raises(PromiseError, match="you cannot iterate over it; annotate the job's return type"):
        list(part)


def test_no_operator_was_forgotten():
    """Every special method that Python looks up on the type for an operator or a built-in is refused or allowed."""
    import operator

    no_methods = {"__concat__", "__iconcat__", "__inv__", "__not__"}  # other names of __add__, __invert__, __bool__
    names = {name for name in vars(operator) if name.startswith("__") and callable(getattr(operator, name))} - no_methods
    missing = {name for name in names - {"__loader__"} if not hasattr(Promise, name)}
    # Without an augmented operator Python falls back on the plain one, which is refused.
    assert {name for name in missing if not hasattr(Promise, name.replace("__i", "__", 1))} == set()
