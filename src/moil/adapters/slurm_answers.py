"""What Slurm's commands print, and what it means for a member of an array.

squeue is asked for columns of fixed width, the one form that every version prints alike and that no content can break.
Slurm's states become a `Standing` and an `Outcome`; the reason says in the user's words which limit was met and what to
change. A job that is COMPLETING has no final state yet and counts as running, however long its machine takes to let go of
it: its worker has said by then how it ended, or Slurm will.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from moil.adapters.slurm_submission import array_of, member, read_comment
from moil.core.records import Outcome
from moil.ports.scheduler import SchedulerId, Seen, Standing
from moil.record import record

_IDS = (("ArrayJobID", 20), ("ArrayTaskID", 20))
_STANDING = (
    *_IDS, ("State", 24), ("exit_code", 16), ("NodeList", 128), ("MinMemory", 20), ("TimeLimit", 20), ("Reason", 400)
)  # fmt: skip
_LABELS = (*_IDS, ("Comment", 400))

_ENDED: Mapping[str, Outcome] = MappingProxyType({
    "COMPLETED": Outcome.completed,
    "FAILED": Outcome.failed,
    "CANCELLED": Outcome.cancelled,
    "REVOKED": Outcome.cancelled,
    "TIMEOUT": Outcome.timed_out,
    "DEADLINE": Outcome.timed_out,
    "OUT_OF_MEMORY": Outcome.out_of_memory,
    "NODE_FAIL": Outcome.node_failed,
    "BOOT_FAIL": Outcome.node_failed,
    "LAUNCH_FAILED": Outcome.node_failed,
    "RECONFIG_FAIL": Outcome.node_failed,
    "PREEMPTED": Outcome.preempted,
})  # fmt: skip
_QUEUED = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})

_HELD = "it is held and will not start: release it with scontrol release, or cancel the run"
_STUCK: Mapping[str, str] = MappingProxyType({
    "partitiontimelimit": "the partition does not allow so much time: lower walltime=, or choose another --slurm-partition",
    "partitionnodelimit": "the partition does not allow what it asks for: choose another --slurm-partition",
    "partitionconfig": "the partition does not allow what it asks for: choose another --slurm-partition, or ask for less",
    "partitiondown": "the partition is down: wait until it is up, or choose another --slurm-partition",
    "partitioninactive": "the partition is inactive: wait until it is active, or choose another --slurm-partition",
    "badconstraints": "no machine has what it asks for: change --slurm-constraint, --slurm-exclude or what the job asks for",
    "reqnodenotavail": "the machines that could run it are down or reserved: wait, or change --slurm-reservation",
    "reservationdeleted": "its reservation is gone: choose another --slurm-reservation",
    "invalidaccount": "its account is not valid any more: choose another --slurm-account",
    "invalidqos": "its quality of service is not valid any more: choose another --slurm-qos",
    "dependencyneversatisfied": "what --slurm-args makes it wait for will never be: change --slurm-args",
    "maxmemperlimit": "its memory is more than the partition allows: lower memory=",
    "maxcpuper": "it asks for more cores than its limit allows: lower cores=",
    "maxmemper": "it asks for more memory than its limit allows: lower memory=",
    "held": _HELD,
})  # fmt: skip


@record
class Row:
    """One member, in Slurm's words."""

    id: SchedulerId
    state: str
    #: ``3:0`` (status and signal), or the status of wait(2).
    exit_code: str = ""
    host: str = ""
    memory: str = ""
    time: str = ""
    reason: str = ""


def standing_format() -> str:
    """For squeue's ``--Format``."""
    return _format(_STANDING)


def labels_format() -> str:
    """For squeue's ``--Format``."""
    return _format(_LABELS)


def _format(columns: tuple[tuple[str, int], ...]) -> str:
    return ",".join(f"{name}:{width}" for name, width in columns)


def _columns(text: str, columns: tuple[tuple[str, int], ...]) -> Iterator[list[str]]:
    for line in text.encode().splitlines():
        cells, start = [], 0
        for _, width in columns:
            cells.append(line[start : start + width].decode(errors="replace").strip())
            start += width
        if cells[0].isdecimal() and cells[1].isdecimal():
            yield cells


def standing_rows(text: str) -> Iterator[Row]:
    """What squeue printed in `standing_format`."""
    for array, number, state, code, host, memory, time, reason in _columns(text, _STANDING):
        one = member(array, int(number))
        yield Row(id=one, state=state, exit_code=code, host=host, memory=memory, time=time, reason=reason)


def labelled(text: str) -> Iterator[tuple[str, int, str]]:
    """The label, the size and the array of each member that squeue printed in `labels_format`."""
    for array, _, comment in _columns(text, _LABELS):
        known = read_comment(comment)
        if known is not None:
            yield (*known, array)


SACCT_FORMAT = "JobID,State,ExitCode,NodeList,ReqMem,Timelimit"


def sacct_rows(text: str, asked: Collection[SchedulerId]) -> Iterator[Row]:
    """What sacct printed in `SACCT_FORMAT`, with bars between, about these members.

    Those of an array that never started share a line: ``7_[0-3,5]``. sacct may cut that list off, so it is not read: the
    line is about all members that have none of their own.
    """
    lines = dict(line.split("|", 1) for line in text.splitlines() if line.count("|") == 5)
    shared = {array_of(job): line for job, line in lines.items() if "_[" in job}
    for one in asked:
        if line := lines.get(one) or shared.get(array_of(one)):
            state, code, host, memory, time = line.split("|")
            yield Row(id=one, state=state, exit_code=code, host=host, memory=memory, time=time)


def seen(row: Row) -> Seen:
    """What a row means."""
    state = row.state.partition(" ")[0].rstrip("+")
    host = "" if row.host in ("(null)", "None assigned", "N/A") else row.host
    if state in _QUEUED:
        reason, stuck = _waiting(state, row.reason)
        return Seen(standing=Standing.queued, reason=reason, stuck=stuck)
    outcome = _ENDED.get(state)
    if outcome is None:
        return Seen(standing=Standing.running, host=host)
    status, signal = exit_status(row.exit_code)
    said = status if outcome in (Outcome.completed, Outcome.failed) and not signal else None
    return Seen(standing=Standing.ended, host=host, outcome=outcome, reason=_ending(outcome, row), exit_status=said)


CANCELLED = Seen(standing=Standing.ended, outcome=Outcome.cancelled, reason="cancelled in Slurm")
"""What is seen of a member that was cancelled and that Slurm has forgotten."""


def exit_status(text: str) -> tuple[int, int]:
    """Status and signal of an exit code."""
    status, colon, signal = text.partition(":")
    if colon:
        return _number(status), _number(signal)
    return _number(text) >> 8 & 0xFF, _number(text) & 0x7F


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _waiting(state: str, reason: str) -> tuple[str, bool]:
    """What a member waits for, and whether it does so in vain; then with the cure."""
    said = "" if reason in ("None", "(null)", "N/A") else reason
    low = said.lower().replace(" ", "").replace("_", "")
    if state in ("REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"):
        return f"{said or state}: {_HELD}", True
    cure = next((cure for word, cure in _STUCK.items() if word in low), "")
    return (f"{said}: {cure}", True) if cure else (said, False)


def _ending(outcome: Outcome, row: Row) -> str:
    status, signal = exit_status(row.exit_code)
    if outcome is Outcome.completed:
        return ""
    if outcome is Outcome.out_of_memory:
        return f"Slurm ended it: it used more memory than the --mem={row.memory or '?'} that it had: raise memory="
    if outcome is Outcome.timed_out:
        return f"Slurm ended it: it ran longer than the --time={row.time or '?'} that it had: raise walltime="
    if outcome is Outcome.node_failed:
        return f"the machine {row.host} under it failed, Slurm reports: {row.state}"
    if outcome is Outcome.preempted:
        return "Slurm took its place away for a job of higher priority"
    if outcome is Outcome.cancelled:
        return f"cancelled in Slurm{_by_whom(row)}"
    how = f"was killed by signal {signal}" if signal else f"ended with exit status {status}"
    why = f", Slurm says {row.reason}" if row.reason not in ("", "None", "NonZeroExitCode", "(null)") else ""
    return f"the worker {how}{why}"


def _by_whom(row: Row) -> str:
    _, by, user = row.state.partition(" by ")
    return f" by user {user}" if by else ""
