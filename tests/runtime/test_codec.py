"""The user's objects as bytes and back: by reference where it can be, promises and files replaced, parts the same objects."""

import collections
import functools
import math
import pickle
import types
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moil import File
from moil.adapters.memory import MemoryStore
from moil.authoring.promise import Details, Promise
from moil.core.records import Stored
from moil.errors import CallError, DamagedError, PromiseError
from moil.runtime import codec
from moil.runtime.codec import INLINE, Encoder, StoredValue


@dataclass
class Point:
    x: int
    y: object = None


def at_top(number):
    return number + 1


OWNER = object()
plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.builds(Point, st.integers(), inner),
    max_leaves=10,
)


def encoder(save=lambda file: file):
    return Encoder(OWNER, save)


def promise(call, *path, origin=OWNER):
    return Promise(Details(origin, call, f"job{call}", lambda: None, path))


def there_and_back(value, resolve=None, **how):
    data, _ = encoder().dumps(value)
    return codec.loads(data, resolve, **how)


@settings(max_examples=50, deadline=None)
@given(plain_data)
def test_data_comes_back_as_it_was(value):
    assert there_and_back(value) == value


@pytest.mark.parametrize("value", [at_top, Point, math.sin, len, dict, collections.OrderedDict, types.SimpleNamespace])
def test_what_has_a_name_is_itself(value):
    assert there_and_back(value) is value
    assert there_and_back([value, {"k": value}])[1]["k"] is value


def test_what_has_a_name_is_stored_as_the_name_only():
    data, _ = encoder().dumps(Point)
    assert data == pickle.dumps(Point, codec.PROTOCOL)


def test_what_has_none_is_stored_by_value():
    factor = 3

    @dataclass
    class Local:
        x: int

    there = there_and_back([lambda x: factor * x, Local(2), at_top])
    assert there[0](2) == 6
    assert there[1].x == 2
    assert there[2] is at_top


def test_a_partial_of_something_local_too():
    assert there_and_back(functools.partial(lambda a, b: a - b, 5))(3) == 2


@pytest.mark.parametrize("value", [math, {"a": 1}.keys()], ids=["module", "keys"])
def test_what_only_cloudpickle_can_store_is_stored(value):
    assert there_and_back(value) == value


def test_promises_are_what_the_resolver_says():
    asked = []

    def resolve(call, path):
        asked.append((call, path))
        return f"value {call}"

    data, found = encoder().dumps([promise(3, ("item", 0)), {"k": promise(1)}, Point(1, promise(3))])
    assert found.refs == {1, 3}
    assert codec.loads(data, resolve) == ["value 3", {"k": "value 1"}, Point(1, "value 3")]
    assert asked == [(3, (("item", 0),)), (1, ()), (3, ())]


def test_also_beside_what_is_stored_by_value():
    data, found = encoder().dumps([lambda: 1, promise(2)])
    assert found.refs == {2}
    assert codec.loads(data, lambda call, path: call)[1] == 2


def test_also_in_a_closure():
    held = promise(2)
    data, found = encoder().dumps(lambda: held)
    assert found.refs == {2}
    assert codec.loads(data, lambda call, path: "kept")() == "kept"


def test_a_promise_of_another_job_is_refused():
    with pytest.raises(PromiseError, match=r"job2\(…\) is a promise of another job's call.*: pass the value as an argument"):
        encoder().dumps([promise(2, origin=object())])


def test_bytes_with_a_promise_need_its_value():
    data, _ = encoder().dumps(promise(1))
    for load in (pickle.loads, codec.loads):
        with pytest.raises(PromiseError, match="unpickled without their values"):
            load(data)


def test_files_are_stored_once_and_made_again():
    saved = []

    def save(file):
        saved.append(file.name)
        return File.stored(file.name, "1" * 64, 5)

    at_home, stored = File("/tmp/here.txt"), File.stored("there.txt", "2" * 64, 7)
    data, found = encoder(save).dumps([at_home, stored, at_home])
    assert (found.files, saved) == ({"1" * 64, "2" * 64}, ["here.txt"])
    made = codec.loads(data, make_file=lambda name, digest, size: f"{name} {digest[0]} {size}")
    assert made == ["here.txt 1 5", "there.txt 2 7", "here.txt 1 5"]
    assert codec.loads(data)[1] == stored


def test_the_stored_form_keeps_its_names():
    """Journals and job stores hold these: a change needs a new format."""
    data, _ = encoder().dumps([promise(1, ("item", "k")), File.stored("a", "0" * 64, 3)])
    for word in (b"moil.runtime.codec", b"fulfil", b"moil.authoring.file", b"stored_file"):
        assert word in data


def test_what_cannot_be_stored_is_told_by_pickle():
    with pytest.raises(TypeError, match="cannot pickle"):
        encoder().dumps(x for x in [1])


def test_parts():
    assert codec.take({"k": [Point(7)]}, (("item", "k"), ("item", 0), ("attr", "x")), "job") == 7
    assert codec.take(5, (), "job") == 5


@pytest.mark.parametrize(
    ("value", "step", "said"),
    [
        ({"a": 1}, ("item", "k"), r"job returned a dict, which has no \['k'\] \(KeyError: 'k'\)"),
        ([1], ("item", 5), r"job returned a list, which has no \[5\] \(IndexError"),
        (Point(1), ("attr", "z"), r"job returned a Point, which has no \.z \(AttributeError"),
        (None, ("item", 0), r"job returned a NoneType, which has no \[0\] \(TypeError"),
    ],
)
def test_parts_that_are_not_there(value, step, said):
    with pytest.raises(CallError, match=said):
        codec.take(value, (step,), "job")


def stored(job, value, first_child=0, **names):
    data, found = encoder().dumps(value)
    return StoredValue(job, f"job{job}", first_child, bool(found.refs), data)


def test_values_are_built_from_the_bottom_up():
    values = [stored(12, "leaf"), stored(11, [promise(0)], 12), stored(5, {"in": promise(0)}, 11)]
    resolve = codec.resolver(5, values, lambda data: data)
    assert resolve(0, ()) == {"in": ["leaf"]}
    assert resolve(0, (("item", "in"), ("item", 0))) == "leaf"


def test_a_value_is_one_object_wherever_it_stands():
    values = [stored(12, Point(1)), stored(11, [promise(0), promise(0)], 12)]
    resolve = codec.resolver(11, values, lambda data: data)
    assert resolve(0, (("item", 0),)) is resolve(0, (("item", 1),)) is resolve(1, ())


def test_a_part_that_is_not_there_names_the_job():
    resolve = codec.resolver(3, [stored(3, [])], lambda data: data)
    with pytest.raises(CallError, match="job3 returned a list"):
        resolve(0, (("item", 0),))


def test_small_data_stands_in_the_record_and_large_data_does_not():
    store = MemoryStore()
    small, large = b"x" * INLINE, b"x" * (INLINE + 1)
    assert codec.place(small, store) is small
    where = codec.place(large, store)
    assert where == Stored(f"values/{codec.content_digest(large)}")
    assert codec.place(large, store) == where
    assert list(store.keys("")) == [where.key]
    assert (codec.fetch(small, store), codec.fetch(where, store)) == (small, large)


def test_an_object_that_is_not_what_it_says_is_told():
    store = MemoryStore()
    key = f"values/{codec.content_digest(b'right')}"
    store.put(key, b"wrong")
    with pytest.raises(DamagedError, match=f"object {key} of the job store is damaged"):
        codec.fetch(Stored(key), store)
