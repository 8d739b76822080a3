"""Events as journal records, and a journal read back into a workflow.

A record is one tag byte and the MessagePack of the event's fields. The tag is the event's place in `EVENT_TYPES`, or
`_SNAPSHOT`. STORED FORMAT: a field may be added with a default; anything else (a new meaning, another order of
`EVENT_TYPES`, a field taken away) needs a new `FORMAT`, which stands in the first record of every incarnation, and code
here that still reads the old one.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from moil.core.events import EVENT_TYPES, Event
from moil.core.snapshot import Snapshot, restore
from moil.core.summary import Summary
from moil.core.workflow import Workflow
from moil.errors import DamagedError
from moil.record import record

FORMAT = 1
SAMPLE = 1000
_SNAPSHOT = 254
_HEADER = 255


class Header(msgspec.Struct, kw_only=True, frozen=True):
    """Begins every incarnation.

    The only one that a new run reads, and so not a record: how to read those has to be worked out with `dataclasses`.
    """

    format: int = FORMAT
    host: str = ""
    pid: int = 0
    at: float = 0.0


_encode = msgspec.msgpack.Encoder().encode
_TAGS: dict[type, bytes] = {kind: bytes([tag]) for tag, kind in enumerate(EVENT_TYPES)}
_KINDS: dict[int, type] = {**dict(enumerate(EVENT_TYPES)), _SNAPSHOT: Snapshot, _HEADER: Header}


def encode(event: Event) -> bytes:
    """One event as a record."""
    return _TAGS[type(event)] + _encode(event)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot as a record."""
    return bytes([_SNAPSHOT]) + _encode(snapshot)


def snapshot_length(workflow: Workflow) -> int:
    """How many bytes a snapshot would have, about: judged by a few of the jobs."""
    jobs = workflow.graph.jobs
    sample = tuple(itertools.islice(jobs.values(), 0, None, max(1, len(jobs) // SAMPLE)))
    return len(_encode(sample)) * len(jobs) // max(1, len(sample))


def encode_header(header: Header) -> bytes:
    """The first record of an incarnation."""
    return bytes([_HEADER]) + _encode(header)


def decode(records: Iterable[bytes]) -> Iterator[Event | Snapshot | Header]:
    """What the records say. Raises DamagedError."""
    for number, one in enumerate(records):
        try:
            yield _decode_one(one)
        except (msgspec.DecodeError, KeyError, IndexError) as error:
            raise DamagedError(f"record {number} of the journal cannot be read: {error}") from error


def _decode_one(record: bytes) -> Event | Snapshot | Header:
    tag, body = record[0], memoryview(record)[1:]
    found: Event | Snapshot | Header = _decoder(tag).decode(body)
    if isinstance(found, Header) and found.format != FORMAT:
        raise DamagedError(f"the journal has format {found.format}; this version of Moil reads {FORMAT}")
    return found


@functools.cache
def _decoder(tag: int) -> msgspec.msgpack.Decoder[Any]:
    """Made when it is needed: a run that is not resumed reads nothing but its header."""
    return msgspec.msgpack.Decoder(_KINDS[tag])


@record(kw_only=False, frozen=False)
class Replayed:
    """A run as its journal tells it."""

    workflow: Workflow
    summary: Summary
    leader: Header | None = None
    events: int = 0


def replay(records: Iterable[bytes]) -> Replayed:
    """The workflow and its summary after all the records; commands are thrown away. Raises DamagedError."""
    told = Replayed(Workflow(), Summary())
    for event in decode(records):
        if isinstance(event, Header):
            told.leader = event
        elif isinstance(event, Snapshot):
            told.workflow, told.summary = restore(event), event.summary
        else:
            told.events += 1
            told.summary.apply(event, told.workflow)
            told.workflow.apply(event)
    return told
