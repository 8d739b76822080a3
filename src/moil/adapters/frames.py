"""Batches of records as checksummed frames in a file, and what their damage means.

A frame is what one append wrote: header (magic, length of the payload, CRC-32 of the payload, CRC-32 of the header so
far), then the payload, which is never empty: every record after its length. All numbers are little-endian.

The writer makes each frame durable before it begins the next. So whatever a crash or a power loss leaves behind is one
frame that nobody was told about, at the very end: a *torn tail*, which is cut off in silence. It may stop short, have
holes, or be nothing but zeros. What it cannot do is be followed by another frame: if one follows, acknowledged records
are damaged, and that is an error which names the byte. The header has a checksum of its own because where a frame
ends can be believed only if its length can be: one flipped bit must not make a frame in the middle look like the last.
Where the header is lost, a frame is taken to follow if its magic does, which errs on the side of an error: a record
with these four bytes in it, in a frame whose end reached the disk before its beginning, would be called damaged.

THE STORED FORMAT: files in this format outlive the program. Whoever changes it must raise `journal_file.FORMAT` and
keep a way to read the old one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from struct import Struct
from zlib import crc32

from moil.adapters.disk import CHUNK, shown
from moil.errors import DamagedError

MAGIC = b"\xa6MJ\x1a"
_FIELDS = Struct("<4sQI")
_HEADER = Struct("<4sQII")
_UNCHECKED = _FIELDS.size
_LENGTH = 8


def frame(records: Iterable[bytes]) -> bytes:
    """The records, at least one, as one frame."""
    payload = b"".join(part for record in records for part in (len(record).to_bytes(_LENGTH, "little"), record))
    fields = _FIELDS.pack(MAGIC, len(payload), crc32(payload))
    return b"".join((fields, crc32(fields).to_bytes(4, "little"), payload))


def split(payload: bytes) -> Iterator[bytes]:
    """The records of a frame's payload."""
    at, stop = 0, len(payload)
    while at < stop:
        begin = at + _LENGTH
        at = begin + int.from_bytes(payload[at:begin], "little")
        yield payload[begin:at]


def damaged(path: str, offset: int) -> DamagedError:
    """The error that names the file and the byte."""
    return DamagedError(f"{shown(path)} is damaged at byte {offset}; put back a copy of that file, or begin a new run")


class Frames:
    """The frames of an open file between two offsets. In memory at one time: a chunk, or one frame if it is larger."""

    def __init__(self, path: str, fd: int, start: int, stop: int) -> None:
        self.path, self.fd, self.start, self.stop = path, fd, start, stop
        #: Where the last whole frame ended that was found so far.
        self.end = start

    def payloads(self) -> Iterator[bytes]:
        """The payload of each frame up to a torn tail. Raises DamagedError."""
        buffer, at, self.end = b"", 0, self.start
        while True:
            if at + _HEADER.size > len(buffer):
                buffer, at = self._read(buffer[at:], _HEADER.size), 0
            if len(buffer) < _HEADER.size:
                break
            magic, length, checksum, _ = _HEADER.unpack_from(buffer, at)
            size = _HEADER.size + length
            if magic != MAGIC or not length or self.end + size > self.stop:
                break
            if at + size > len(buffer):
                buffer, at = self._read(buffer[at:], size), 0
            payload = buffer[at + _HEADER.size : at + size]
            if crc32(payload) != checksum or len(payload) != length:
                break
            at += size
            self.end += size
            yield payload
        if not self._torn():
            raise damaged(self.path, self.end)

    def _read(self, rest: bytes, need: int) -> bytes:
        """`rest`, which begins at `end`, and what follows it: `need` bytes or more, fewer only before `stop`."""
        parts, have = [rest], len(rest)
        while have < need and (part := self._chunk(self.end + have, need - have)):
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def _chunk(self, offset: int, need: int = 0) -> bytes:
        return os.pread(self.fd, min(max(need, CHUNK), self.stop - offset), offset) if offset < self.stop else b""

    def _torn(self) -> bool:
        """Whether what comes after `end` is nothing, or a frame that was being written."""
        header = self._chunk(self.end, _HEADER.size)[: _HEADER.size]
        if not _is_header(header):
            return not self._holds_magic(self.end + 1)
        return self._blank(self.end + _HEADER.size + _HEADER.unpack(header)[1])

    def _blank(self, offset: int) -> bool:
        while chunk := self._chunk(offset):
            if chunk.strip(b"\0"):
                return False
            offset += len(chunk)
        return True

    def _holds_magic(self, offset: int) -> bool:
        while chunk := self._chunk(offset, len(MAGIC)):
            if MAGIC in chunk:
                return True
            offset += max(1, len(chunk) - len(MAGIC) + 1)
        return False


def _is_header(header: bytes) -> bool:
    return header.startswith(MAGIC) and crc32(header[:_UNCHECKED]).to_bytes(4, "little") == header[_UNCHECKED:]
