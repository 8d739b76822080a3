"""Frames in a file: what is whole, what is torn and what is damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moil.adapters import frames
from moil.adapters.frames import MAGIC, Frames, frame, split
from moil.errors import DamagedError

without_magic = st.binary(max_size=9).filter(lambda record: MAGIC not in record)


@settings(derandomize=True, database=None, deadline=None)
@given(batches=st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=4), max_size=6), chunk=st.integers(1, 50))
def test_what_is_framed_comes_back(batches: list[list[bytes]], chunk: int) -> None:
    with _chunks_of(chunk), _open(b"".join(map(frame, batches))) as found:
        assert [list(split(payload)) for payload in found.payloads()] == batches
        assert found.end == found.stop


@pytest.mark.slow
@settings(derandomize=True, database=None, deadline=None)
@given(batches=st.lists(st.lists(without_magic, min_size=1, max_size=2), min_size=1, max_size=3), data=st.data())
def test_a_torn_tail_with_holes(batches: list[list[bytes]], data: st.DataObject) -> None:
    """Each sector of the last frame may or may not have reached the disk."""
    whole, last = b"".join(map(frame, batches[:-1])), bytearray(frame(batches[-1]))
    sector = data.draw(st.integers(1, 8), label="sector")
    for at in range(0, len(last), sector):
        if data.draw(st.booleans(), label=f"{at} is lost"):
            last[at : at + sector] = bytes(len(last[at : at + sector]))
    with _open(whole + last) as found:
        read = [list(split(payload)) for payload in found.payloads()]
    assert read in (batches[:-1], batches)


def test_magic_and_zeros_are_no_frame() -> None:
    with _open(frame([b"x"]) + MAGIC + bytes(100)) as found:
        assert [list(split(payload)) for payload in found.payloads()] == [[b"x"]]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_damage_is_found_however_far_the_next_frame_is(chunk: int) -> None:
    first, second = frame([b"x" * 500]), frame([b"y"])
    with _chunks_of(chunk), _open(b"?" + first[1:] + second) as found, pytest.raises(DamagedError, match="byte 0"):
        list(found.payloads())


@contextmanager
def _chunks_of(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "CHUNK", size)
        yield


@contextmanager
def _open(content: bytes) -> Iterator[Frames]:
    fd = os.memfd_create("frames")
    try:
        os.write(fd, content)
        yield Frames("file", fd, 0, len(content))
    finally:
        os.close(fd)
