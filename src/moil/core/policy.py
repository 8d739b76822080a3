"""Retries, back-off and growing requirements: one decision, made from counts alone.

An attempt that ends without a commit either costs the job one of its tries or does not. What happens *to* a job
(preemption, a node that dies, an attempt that nobody knows of any more) is free; preemption without bound, the others
up to `FREE_LOSSES`, after which a job that kills its node again and again is at fault after all.
"""

from __future__ import annotations

from typing import TypeVar

from moil.core.records import Outcome
from moil.core.requirements import Ceiling, Request, Requirements
from moil.record import field, record

FREE_LOSSES = 10
LONGEST_BACKOFF = 300.0
MOST_STEPS = 64
"""Back-off and limits grow so many times at most: a job may be tried thousands of times, and a float has an end."""

N = TypeVar("N", int, float)


@record
class Policy:
    """What a run does when attempts fail, and what a job gets that asked for nothing. Times are seconds."""

    retries: int = 1
    backoff: float = 1.0
    backoff_factor: float = 2.0
    growth: float = 2.0
    fail_fast: bool = False
    defaults: Requirements = field(default_factory=Requirements)
    ceiling: Ceiling = field(default_factory=Ceiling)


@record
class Tries:
    """What a job has been through: tries it has used, losses that were free, and how often each limit has grown."""

    used: int = 0
    losses: int = 0
    memory_growth: int = 0
    walltime_growth: int = 0


@record(kw_only=False)
class Again:
    """Try again after `delay` seconds, with these counts."""

    tries: Tries
    delay: float


def after_failure(policy: Policy, retries: int | None, tries: Tries, outcome: Outcome) -> Again | None:
    """What to do after an attempt that ended with `outcome`: try again, or None for: give up."""
    if outcome is Outcome.preempted:
        return Again(tries, 0.0)
    if outcome in (Outcome.node_failed, Outcome.lost, Outcome.cancelled) and tries.losses < FREE_LOSSES:
        return Again(_count(tries, losses=1), policy.backoff if tries.losses else 0.0)
    allowed = policy.retries if retries is None else retries
    if tries.used >= allowed:
        return None
    delay = min(policy.backoff * policy.backoff_factor ** min(tries.used, MOST_STEPS), LONGEST_BACKOFF)
    if outcome is Outcome.out_of_memory:
        return Again(_count(tries, used=1, memory_growth=1), 0.0)
    if outcome is Outcome.timed_out:
        return Again(_count(tries, used=1, walltime_growth=1), 0.0)
    return Again(_count(tries, used=1), delay)


def _count(tries: Tries, *, used: int = 0, losses: int = 0, memory_growth: int = 0, walltime_growth: int = 0) -> Tries:
    return Tries(
        used=tries.used + used,
        losses=tries.losses + losses,
        memory_growth=tries.memory_growth + memory_growth,
        walltime_growth=tries.walltime_growth + walltime_growth,
    )


def effective(policy: Policy, request: Request, tries: Tries) -> Requirements:
    """The numbers to submit with: what was asked, else the default (never above the ceiling), grown after failures."""
    base, most = policy.defaults, policy.ceiling
    memory = _clamp(base.memory, most.memory) if request.memory is None else request.memory
    walltime = base.walltime if request.walltime is None else request.walltime
    if tries.memory_growth:
        memory = max(memory, _clamp(int(memory * policy.growth ** min(tries.memory_growth, MOST_STEPS)), most.memory))
    if walltime is not None:
        walltime *= policy.growth ** min(tries.walltime_growth, MOST_STEPS)
    return Requirements(
        cores=_clamp(base.cores, most.cores) if request.cores is None else request.cores,
        memory=memory,
        disk=_clamp(base.disk, most.disk) if request.disk is None else request.disk,
        walltime=walltime,
        accelerators=base.accelerators if request.accelerators is None else request.accelerators,
        preemptible=base.preemptible if request.preemptible is None else request.preemptible,
    )


def _clamp(value: N, most: N | None) -> N:
    return value if most is None or value <= most else most
