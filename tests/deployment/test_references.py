"""What a pickle refers to, without importing it."""

import collections
import decimal
import functools
import pathlib
import pickle
import sys

import cloudpickle
import pytest

from moil.deployment.references import references


class Point:
    def __init__(self, x):
        self.x = x


class Numbers(list):
    pass


class Table(dict):
    pass


HERE = __name__


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ((1, "a", b"b", 2.5, None, {"k": [True]}, {1, 2}), set()),
        (Point(1), {f"{HERE}:Point"}),
        (Numbers([1, 2]), {f"{HERE}:Numbers"}),
        (Table(a=Point(2)), {f"{HERE}:Table", f"{HERE}:Point"}),
        (pathlib.PurePosixPath("a/b"), {"pathlib:PurePosixPath"}),
        (decimal.Decimal("1.5"), {"decimal:Decimal"}),
        (collections.OrderedDict(a=1), {"collections:OrderedDict"}),
        (collections.deque([1], 3), {"collections:deque"}),
        (functools.partial(len, [1]), {"functools:partial", "builtins:len"}),
        (Point, {f"{HERE}:Point"}),
        ({Point: 1, frozenset([1]): 2}, {f"{HERE}:Point"}),
    ],
)
def test_the_names_are_found(value, names):
    assert references(pickle.dumps(value, pickle.HIGHEST_PROTOCOL)) == names


def test_values_make_no_difference():
    assert references(pickle.dumps(Point(1))) == references(pickle.dumps(Point("another")))


def test_nothing_is_imported():
    data = pickle.dumps(Point(1)).replace(HERE.encode(), b"x" * len(HERE))
    assert references(data) == {f"{'x' * len(HERE)}:Point"}
    assert "x" * len(HERE) not in sys.modules


def test_code_may_refer_to_anything():
    assert references(cloudpickle.dumps(lambda: decimal.Decimal(1))) is None


def test_what_cannot_be_read_is_not_known():
    assert references(b"\x80\x05broken") is None
