"""Random whole programs that use every feature of the API, and say what they should give.

A `Plan` is what one job does, as data: the calls it makes, with what, in which block of which service, and what it
returns. `interpret` is the one job body that carries any plan out, so the same program runs plainly, simulated and for
real, and the plain call is the oracle. Every value is made of numbers, so that any difference shows.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moil.authoring.file import File
from moil.authoring.job import current, defer, job
from moil.authoring.service import service

MODULUS = 1_000_003


@dataclass(frozen=True)
class Box:
    """A user's class that may hold promises."""

    label: int
    inside: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a job does. `args` choose among what it has so far, counted round and round."""

    #: call, inline, pair, part, box, save, read, service, memory, after, checkpoint, defer or flaky.
    kind: str
    args: tuple[int, ...] = ()
    plan: Plan | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one job does."""

    steps: tuple[Step, ...] = ()
    #: Which of the things it then has are in what it returns, and how deep.
    returns: tuple[int, ...] = ()
    shape: str = "list"
    number: int = 0


@job
def interpret(plan: Plan, inputs: list[Any]) -> Any:
    """Carry a plan out."""
    own = fold([plan.number, *inputs])
    have: list[Any] = [own, *inputs]
    _steps(plan.steps, have, len(have))
    chosen = [have[index % len(have)] for index in plan.returns]
    if plan.shape == "bare" and chosen:
        return chosen[0]
    if plan.shape == "dict":
        return {str(number): one for number, one in enumerate(chosen)} | {"own": own}
    if plan.shape == "box":
        return Box(own, chosen)
    return [own, *chosen]


@job
def pair(value: Any) -> tuple[int, dict[str, int]]:
    """Something that can be taken apart."""
    number = fold(value)
    return number, {"part": number + 1}


@job
def bytes_needed(value: Any) -> int:
    """A requirement, to be promised."""
    return 1_000_000 + fold(value)


@job(retries=2)
def flaky(value: Any) -> int:
    """Fails at its first attempt, where there are attempts."""
    now = current()
    if now.job_id and now.attempt == 1:
        raise RuntimeError("the first attempt fails")
    return fold(value)


@job
def write(value: Any) -> File:
    """Make a file."""
    path = current().scratch / f"number-{fold(value)}.txt"
    path.write_text(str(fold(value)))
    return File.save(path)


@job
def tidy(value: Any) -> int:
    """Defer something."""
    defer(fold, 1)
    return fold(value)


@service
def offer(value: Any) -> Iterator[list[int]]:
    """Something to be a client of."""
    yield [fold(value), 7]


def _steps(steps: tuple[Step, ...], have: list[Any], values: int, addresses: tuple[Any, ...] = ()) -> None:
    for step in steps:
        chosen = [have[index % len(have)] for index in step.args] or [have[0]]
        known = [have[index % values] for index in step.args] or [have[0]]
        if step.kind == "service":
            with offer(chosen[0]) as address:
                have.append(address)
                _steps(step.steps, have, values, (*addresses, address))
        elif step.kind == "after":
            follows = [one for one in chosen if not any(one is address for address in addresses)]
            have.append(interpret.options(after=follows)(step.plan or Plan(), known))
        else:
            have.extend(_step(step, chosen, known, have))


def _step(step: Step, chosen: list[Any], known: list[Any], have: list[Any]) -> list[Any]:
    plan = step.plan or Plan(number=len(have))
    match step.kind:
        case "call":
            return [interpret(plan, chosen)]
        case "inline":
            return [interpret.fn(Plan(number=plan.number), known)]
        case "pair":
            left, right = pair(chosen)
            return [left, right]
        case "part":
            return [pair(chosen)[1]["part"]]
        case "box":
            return [interpret(plan, [Box(1, chosen), {"k": chosen}])]
        case "save":
            return [write(chosen)]
        case "memory":
            return [interpret.options(memory=bytes_needed(chosen))(plan, chosen)]
        case "checkpoint":
            return [interpret.options(checkpoint=True)(plan, chosen)]
        case "flaky":
            return [flaky(chosen)]
        case "defer":
            return [tidy(chosen)]
    raise AssertionError(step.kind)


def fold(value: Any) -> int:
    """A number that depends on every part of the value."""
    return zlib.crc32(repr(normal(value)).encode()) % MODULUS


def normal(value: Any) -> Any:
    """The value as plain data, with the content of files in their place."""
    if isinstance(value, File):
        return ("file", value.name, Path(value.path()).read_text())
    if isinstance(value, Box):
        return ("box", value.label, normal(value.inside))
    if isinstance(value, list | tuple):
        return [normal(one) for one in value]
    if isinstance(value, dict):
        return {key: normal(one) for key, one in sorted(value.items())}
    return value
