"""Sizes, times, cores and devices, as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moil.core.requirements import (
    GIB,
    MIB,
    Accelerator,
    Ceiling,
    Request,
    excess,
    format_duration,
    format_size,
    parse_accelerators,
    parse_cores,
    parse_duration,
    parse_field,
    parse_size,
)
from moil.errors import RequirementError

NOT_NUMBERS = [None, True, False, -1, float("nan"), float("inf"), -0.5, [], {}, b"1", object()]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512 B", 512),
        ("1k", 1000),
        ("1 KB", 1000),
        ("1Ki", 1024),
        ("1 KiB", 1024),
        ("512 MiB", 512 * MIB),
        ("4G", 4 * 10**9),
        ("4 GB", 4 * 10**9),
        ("4Gi", 4 * GIB),
        ("4 gib", 4 * GIB),
        ("1.5T", 1_500_000_000_000),
        ("0.5 KiB", 512),
        ("2 PiB", 2 * 1024**5),
        ("  7  MB  ", 7_000_000),
        ("1.0001 B", 2),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(("number", "size"), [(0, 0), (17, 17), (17.2, 18), (1e9, 10**9)])
def test_sizes_as_numbers(number, size):
    assert parse_size(number) == size


@pytest.mark.parametrize("value", [*NOT_NUMBERS, "", "much", "4 XB", "GiB", "-1", "1e9", "4 GiB!", "1.", ".5", "4 G iB", "i"])
def test_what_is_not_a_size(value):
    with pytest.raises(RequirementError, match="is not a size: give bytes, or text such as '4 GiB'"):
        parse_size(value)


@given(st.integers(0, 2**53))
def test_bytes_are_bytes(size):
    assert parse_size(size) == parse_size(str(size)) == parse_size(f"{size} B") == size


@given(st.integers(0, 2000), st.sampled_from(["", "K", "M", "G", "T", "P"]), st.sampled_from(["", "i"]), st.booleans())
def test_powers(number, letter, binary, with_b):
    power = ["", "K", "M", "G", "T", "P"].index(letter)
    binary = binary if letter else ""
    size = number * (1024 if binary else 1000) ** power
    assert parse_size(f"{number}{letter}{binary}{'B' if with_b else ''}") == size


@given(st.integers(0, 2**60))
def test_a_size_in_words_is_read_back(size):
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.05)


@given(st.integers(0, 1023), st.sampled_from([1, 1024, MIB, GIB, 1024**4]))
def test_round_sizes_are_read_back_exactly(number, unit):
    assert parse_size(format_size(number * unit)) == number * unit


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (200 * 1024 + 1, "200 KiB"),
        (512 * MIB, "512 MiB"),
        (4 * GIB, "4 GiB"),
        (5000 * 1024**4, "5000 TiB"),
    ],
)
def test_sizes_in_words(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90 s", 90),
        ("90sec", 90),
        ("1.5 h", 5400),
        ("2 hours", 7200),
        ("1 hour", 3600),
        ("90 min", 5400),
        ("3 minutes", 180),
        ("1 h 30 m", 5400),
        ("1h30m15s", 5415),
        ("2 D", 172800),
        ("1:30:00", 5400),
        ("1:30", 5400),
        ("1-02:30:00", 95400),
        ("  12:00:01 ", 43201),
    ],
)
def test_times(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 0, 0.0, "", " ", "soon", "5 y", "0 s", "0:00:00", "1:2:3", "-5", "h", "1 h x"])
def test_what_is_not_a_time(value):
    with pytest.raises(RequirementError, match="is not a time: give seconds, or text such as '90 min' or '1:30:00'"):
        parse_duration(value)


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_clocks_and_words_agree(days, hours, minutes, seconds):
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total:
        assert parse_duration(f"{days}-{hours}:{minutes:02}:{seconds:02}") == total
        assert parse_duration(f"{days} d {hours} h {minutes} min {seconds} s") == total
        assert parse_duration(total) == parse_duration(f"{total}") == total


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (1.5, "1.5 s"),
        (59.9, "59.9 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_times_in_words(seconds, text):
    assert format_duration(seconds) == text


@given(st.floats(1, 1e7))
def test_a_time_in_words_is_read_back(seconds):
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.06)


@pytest.mark.parametrize(("value", "cores"), [(1, 1.0), (0.5, 0.5), ("2", 2.0), ("0.25", 0.25), (" 3 ", 3.0), (64, 64.0)])
def test_cores(value, cores):
    assert parse_cores(value) == cores


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 0, "0", "-1", "two", "", "inf", "nan", "1 2"])
def test_what_is_not_a_number_of_cores(value):
    with pytest.raises(RequirementError, match="is not a number of cores: give a positive number such as 2 or 0.5"):
        parse_cores(value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (0, ()),
        ("0", ()),
        ("", ()),
        ((), ()),
        (2, (Accelerator(count=2),)),
        ("2", (Accelerator(count=2),)),
        ("gpu", (Accelerator(),)),
        ("gpu:2", (Accelerator(count=2),)),
        ("gpu:a100", (Accelerator(model="a100"),)),
        (" gpu:a100:2 ", (Accelerator(model="a100", count=2),)),
        ("gpu:²", (Accelerator(model="²"),)),
        ("tpu:1", (Accelerator(kind="tpu"),)),
        (Accelerator(kind="fpga"), (Accelerator(kind="fpga"),)),
        (["gpu:1", 2, Accelerator(kind="fpga")], (Accelerator(), Accelerator(count=2), Accelerator(kind="fpga"))),
        (("gpu:1", ["tpu"]), (Accelerator(), Accelerator(kind="tpu"))),
    ],
)
def test_accelerators(value, found):
    assert parse_accelerators(value) == found


@pytest.mark.parametrize("value", [None, True, -1, 1.5, "gpu:0", "gpu:a:b:1", ":1", "gpu::1", ["gpu", None], b"gpu"])
def test_what_is_not_an_accelerator(value):
    with pytest.raises(RequirementError, match="is not understood: give a count, or text such as 'gpu:1' or 'gpu:a100:2'"):
        parse_accelerators(value)


names = st.text("abcdefgxyz-_", min_size=1, max_size=6)


@given(st.builds(Accelerator, kind=names, count=st.integers(1, 99), model=st.none() | names))
def test_an_accelerator_in_words_is_read_back(one):
    assert parse_accelerators(str(one)) == (one,)


@pytest.mark.parametrize(
    ("field", "value", "parsed"),
    [
        ("memory", "1 KiB", 1024),
        ("disk", "1 KiB", 1024),
        ("walltime", "1 min", 60.0),
        ("cores", "2", 2.0),
        ("accelerators", "gpu", (Accelerator(),)),
        ("preemptible", True, True),
        ("preemptible", False, False),
    ],
)
def test_fields(field, value, parsed):
    assert parse_field(field, value) == parsed


@pytest.mark.parametrize("field", ["cores", "memory", "disk", "walltime", "accelerators", "preemptible", "colour"])
def test_a_wrong_field_is_named_with_its_job(field):
    with pytest.raises(RequirementError, match=f"^{field} of job align: {field}='lots:' is not"):
        parse_field(field, "lots:", job="align")


def test_a_wrong_field_is_named_without_a_job():
    with pytest.raises(RequirementError, match="^preemptible='yes' is not understood$"):
        parse_field("preemptible", "yes")


@given(st.sampled_from(["cores", "memory", "disk", "walltime", "accelerators", "preemptible"]), st.text() | st.integers() | st.floats())
def test_anything_is_parsed_or_refused(field, value):
    try:
        parse_field(field, value)
    except RequirementError as error:
        assert repr(value) in str(error)


@pytest.mark.parametrize(
    "value",
    ["9" * 400, "9" * 5000, 10**400, "9" * 400 + " GiB", "9" * 5000 + ":00", 2**63],
    ids=["text", "long text", "number", "size", "clock", "more than the journal holds"],
)
@pytest.mark.parametrize("field", ["cores", "memory", "walltime"])
def test_absurd_numbers_are_refused(field, value):
    with pytest.raises(RequirementError):
        parse_field(field, value)


CEILING = Ceiling(cores=4.0, memory=8 * GIB, disk=GIB, accelerators=1)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(cores=5.0), "cores=5, but the most that one job can get here is 4"),
        (Request(memory=9 * GIB), "memory=9 GiB, but the most that one job can get here is 8 GiB"),
        (Request(disk=2 * GIB), "disk=2 GiB, but the most that one job can get here is 1 GiB"),
        (
            Request(accelerators=(Accelerator(), Accelerator(kind="tpu"))),
            "2 accelerator(s), but the most that one job can get here is 1",
        ),
    ],
)
def test_what_no_machine_can_meet(request_, said):
    assert excess(request_, CEILING) == said
    assert excess(request_, Ceiling()) is None


def test_what_can_be_met():
    assert excess(Request(cores=4.0, memory=8 * GIB, disk=GIB, accelerators=(Accelerator(),)), CEILING) is None
    assert excess(Request(), CEILING) is None
