"""Envelopes and frames: what is put in comes out, in whatever pieces it travels."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moil.core import wire

blobs = st.lists(st.binary(max_size=50), max_size=5)
headers = st.dictionaries(st.text(max_size=5).filter(lambda key: key != "sizes"), st.integers() | st.text(), max_size=4)


@settings(max_examples=40)
@given(headers, blobs)
def test_an_envelope_is_read_back(header, parts):
    assert wire.unpack(wire.pack(header, parts)) == (header, parts)
    assert wire.unpack(memoryview(wire.pack(header, parts))) == (header, parts)


@settings(max_examples=40)
@given(headers, blobs, st.data())
def test_an_envelope_that_is_cut_off_is_refused(header, parts, data):
    whole = wire.pack(header, parts)
    with pytest.raises(ValueError):
        wire.unpack(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_an_envelope_with_something_behind_it_is_refused():
    with pytest.raises(ValueError, match="an envelope of .* bytes should have"):
        wire.unpack(wire.pack({"a": 1}, [b"blob"]) + b"!")


def test_an_envelope_can_be_read_by_people():
    assert wire.pack({"job": 7}, [b"ab", b"c"])[4:] == b'{"job":7,"sizes":[2,1]}abc'


kinds = st.sampled_from([wire.INIT, wire.SLOT, wire.READY])


@given(st.lists(st.tuples(kinds, st.binary(max_size=40)), max_size=6), st.data())
def test_frames_are_read_back_from_any_pieces(frames, data):
    stream = b"".join(wire.frame(*one) for one in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, found = wire.FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found == frames


def test_a_reader_that_is_not_read_to_the_end_repeats_nothing():
    reader = wire.FrameReader()
    first = reader.feed(wire.frame(b"T", b"1") + wire.frame(b"T", b"2"))
    assert next(first) == (b"T", b"1")
    first.close()
    assert list(reader.feed(b"")) == [(b"T", b"2")]


def test_kinds_differ():
    kinds = [wire.INIT, wire.SLOT, wire.READY]
    assert len(set(kinds)) == len(kinds)
