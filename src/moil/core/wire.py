"""How records travel: a JSON header and byte strings in one piece, and pieces in a stream.

An *envelope* is ``<header length> <header> <blob> <blob> …``; the header's "sizes" cut the blobs. A *frame* is an
envelope in a stream: one kind byte and a length before it. Standard library only, because both ends of a worker's pipe
use it; JSON, because a stored envelope must be readable without running anything that is in it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

_LENGTH = struct.Struct("<I")
_FRAME = struct.Struct("<cQ")

#: To a zygote: how it is to be, and a slot to make; from it: that it is ready.
INIT, SLOT, READY = b"I", b"L", b"Y"


def pack(header: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """One envelope."""
    text = json.dumps({**header, "sizes": [len(blob) for blob in blobs]}, separators=(",", ":")).encode()
    return b"".join((_LENGTH.pack(len(text)), text, *blobs))


def unpack(data: bytes | memoryview) -> tuple[dict[str, Any], list[bytes]]:
    """The header and the blobs of an envelope. Raises ValueError if it is not one."""
    view = memoryview(data)
    if len(view) < _LENGTH.size:
        raise ValueError("an envelope is cut off")
    (length,) = _LENGTH.unpack_from(view)
    start = _LENGTH.size + length
    header = json.loads(bytes(view[_LENGTH.size : start]))
    blobs = []
    for size in header.pop("sizes"):
        blobs.append(bytes(view[start : start + size]))
        start += size
    if start != len(view):
        raise ValueError(f"an envelope of {len(view)} bytes should have {start}")
    return header, blobs


def frame(kind: bytes, payload: bytes) -> bytes:
    """A frame to send."""
    return _FRAME.pack(kind, len(payload)) + payload


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Take in what was read, and give out the frames that are complete: (kind, payload)."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= _FRAME.size:
                kind, length = _FRAME.unpack_from(self._buffer, start)
                end = start + _FRAME.size + length
                if len(self._buffer) < end:
                    return
                payload = bytes(self._buffer[start + _FRAME.size : end])
                start = end
                yield kind, payload
        finally:
            del self._buffer[:start]
