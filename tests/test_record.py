"""Records: values that are equal if their fields are."""


import dataclasses
import pickle
from typing import ClassVar

import msgspec
import pytest

from moil.record import NOTHING, as_dict, changed, declared, field, record


@record
class Point:
    x: int
    y: int = 0
    note: str = field(default="", compare=False, repr=False)


@record
class Nothing:
    """Has no fields."""


def test_equal_fields_are_equal_records():
    assert Point(x=1, note="a") == Point(x=1, note="b")
    assert hash(Point(x=1)) == hash(Point(x=1, y=0))
    assert Point(x=1) != Point(x=2)
    assert Point(x=1) != (1, 0)
    assert repr(Point(x=1)) == "Point(x=1, y=0)"


def test_records_without_fields_are_all_the_same():
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    assert Nothing() != Point(x=1)


@record
class Shape:
    corners: int = 3
    family: ClassVar[str] = "flat"
    colour: str = field(default="red", metadata={"help": "what it is painted"})


def test_what_belongs_to_the_class_is_no_field():
    assert Shape.family == "flat" and list(declared(Shape)) == ["corners", "colour"]
    assert Shape(corners=4) == Shape(corners=4, colour="red")


def test_what_is_said_of_fields():
    found = declared(Shape)
    assert found["colour"].metadata == dataclasses.fields(Shape)[1].metadata == {"help": "what it is painted"}
    assert (found["corners"].value, dataclasses.fields(Shape)[0].default) == (3, 3)
    assert found["corners"].factory is NOTHING and dataclasses.fields(Shape)[0].default_factory is dataclasses.MISSING
    with pytest.raises(AttributeError):
        found["corners"].__wrapped__  # noqa: B018 - it would look for it in the twin, and that for its own


@record(kw_only=False, frozen=False)
class Polygon:
    points: list[Point] = field(default_factory=list)
    closed: bool = True


def test_records_that_may_change_have_no_hash():
    one, other = Polygon(), Polygon([Point(x=1)])
    one.points.append(Point(x=1))
    assert one == other
    assert one.points is not Polygon().points
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_a_record_has_no_more_than_its_fields():
    with pytest.raises(AttributeError):
        Point(x=1).z = 2  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="'x'"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        Point(1)  # type: ignore[misc]


def test_a_record_changed():
    before = Point(x=1, note="a")
    assert (changed(before, y=5).y, changed(before, y=5).note, before.y) == (5, "a", 0)


def test_as_plain_data():
    told = as_dict(Polygon([Point(x=1), Point(x=2, y=3)]))
    assert told == {
        "points": [{"x": 1, "y": 0, "note": ""}, {"x": 2, "y": 3, "note": ""}],
        "closed": True,
    }


def test_a_record_is_a_dataclass_for_whoever_asks():
    polygon = Polygon([Point(x=1)], closed=False)
    assert dataclasses.is_dataclass(Polygon)
    assert [one.name for one in dataclasses.fields(Point)] == ["x", "y", "note"]
    assert dataclasses.asdict(polygon) == as_dict(polygon)
    assert dataclasses.replace(polygon, closed=True) == Polygon([Point(x=1)])
    assert msgspec.json.decode(msgspec.json.encode(polygon), type=Polygon) == polygon
    assert pickle.loads(pickle.dumps(polygon)) == polygon
