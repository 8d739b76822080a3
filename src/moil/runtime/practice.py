"""Before the first fork: go through the motions of a job, so that no job's process is the first to do so.

A fork shares its parent's memory until one of them writes to it, and each page written to for the first time costs as
much as a thousand lines of Python. The interpreter writes a lot when it runs code for the first few times: it rewrites
the code for what it has seen, and fills its caches. All that is done here once, for all jobs to come.

It needs to know nothing of the run, and no directory: so it can be done while nobody has said yet what is to be run.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, cast

from moil.authoring.job import job
from moil.authoring.promise import Details, Promise
from moil.runtime import files, messages
from moil.runtime.codec import Encoder, StoredValue
from moil.runtime.job_process import JobProcess, Order
from moil.runtime.messages import Message
from moil.runtime.outbox import Outbox, Voice
from moil.runtime.records import Task, encode_task
from moil.runtime.slot import House
from moil.runtime.slot_directory import SlotDirectory

if TYPE_CHECKING:
    from moil.ports.job_store import JobStore

TIMES = 16
"""The interpreter rewrites code that has run eight times, and then some more."""


@job(cores=1)
def nothing(number: int) -> int:
    """The job that is practised; it calls another."""
    return number if number == 0 else nothing(nothing(number - 1))


def practise() -> None:
    """Run it, in this process, and leave no trace."""
    stage = _stage()
    home = SlotDirectory(stage.work / "practice")
    packet = Message(messages.TASK, "2.1", encode_task(_task())).packet()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    outbox = Outbox(None)
    with ours, theirs:
        for _ in range(TIMES):
            outbox.turn()
            JobProcess(Order.read(packet, home), stage, Voice(theirs, outbox)).carry_out()
            ours.recv(messages.PACKET)
    outbox.remove()
    files.sha256()


def _task() -> Task:
    """It calls the job with what another has returned."""
    encoder = Encoder(None, lambda file: file)
    promised = Promise(Details(None, 0, nothing.name, lambda: None))
    value = StoredValue(1, nothing.name, 2, has_refs=False, data=encoder.dumps(1)[0])
    call, _ = encoder.dumps((nothing, (promised,), {}))
    return Task(job=2, attempt=1, name=nothing.name, call=call, base=1, values=(value,))


def _nothing_to_load() -> None:
    """The program has been loaded, or will be."""


def _stage() -> House:
    """What the job finds there: nothing that it would touch."""
    nowhere = Path("/nonexistent")
    store = cast("JobStore", None)
    return House(store=store, work=nowhere, cache=nowhere, load=_nothing_to_load, log_limit=0, isolation="job", host="")
