"""Records: values that are equal if their fields are."""

from moil.core.record import field

from moil.core.record import record


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
