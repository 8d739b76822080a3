"""What a job asks of the machine that runs it.

Three types, from the user's words to the scheduler's numbers: a `Request` is what a job asked for (a field that is
None was not asked for), `Defaults` and `Ceiling` belong to the run, and `Requirements` are the numbers that an attempt
is submitted with. Sizes are bytes, times are seconds, cores may be fractions.

Suffixes follow the standards: ``G`` and ``GB`` are powers of 1000, ``Gi`` and ``GiB`` powers of 1024 (IEC 80000-13).
"""

from __future__ import annotations

import math
import re

from moil.errors import RequirementError
from moil.record import record

MIB = 1024**2
GIB = 1024**3
LARGEST = 2.0**63
"""What the journal can hold; nobody asks for so much but by mistake."""

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = r"(?i)\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?\s*\Z"
_UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_SPAN = r"(?i)\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*"
_NUMBER = r"\s*\d+(?:\.\d*)?\s*\Z"
_CLOCK = r"\s*(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?\s*\Z"


@record
class Accelerator:
    """So many devices of one kind, of a certain model if one is named."""

    kind: str = "gpu"
    count: int = 1
    model: str | None = None

    def __str__(self) -> str:
        return ":".join([self.kind, *([self.model] if self.model else []), str(self.count)])


@record
class Requirements:
    """What one attempt is given: cores, memory and disk in bytes, walltime in seconds (None: no limit)."""

    cores: float = 1.0
    memory: int = 2 * GIB
    disk: int = GIB
    walltime: float | None = None
    accelerators: tuple[Accelerator, ...] = ()
    preemptible: bool = False


@record
class Request:
    """What a job asked for; None means: whatever the run's default is."""

    cores: float | None = None
    memory: int | None = None
    disk: int | None = None
    walltime: float | None = None
    accelerators: tuple[Accelerator, ...] | None = None
    preemptible: bool | None = None


@record
class Ceiling:
    """The most that any machine of the batch system can give one job; None means: not known, or no bound."""

    cores: float | None = None
    memory: int | None = None
    disk: int | None = None
    accelerators: int | None = None


def parse_size(value: object, what: str = "size") -> int:
    """Bytes from an int, or from text such as ``"4 GiB"``, ``"4G"``, ``"1.5T"``. Raises RequirementError."""
    size = _size(value) if isinstance(value, str) else value
    if not isinstance(size, bool) and isinstance(size, int | float) and 0 <= size < LARGEST:
        return math.ceil(size)
    raise RequirementError(f"{what}={value!r} is not a size: give bytes, or text such as '4 GiB'")


def _size(text: str) -> float | None:
    found = re.match(_SIZE, text)
    if not found:
        return None
    number, power, binary = found.groups()
    return float(number) * float(1024 if binary else 1000) ** _POWERS[power.lower()]


def parse_duration(value: object, what: str = "walltime") -> float:
    """Seconds from a number, ``"90 min"``, ``"1 h 30 m"`` or ``"1-02:30:00"``. Raises RequirementError."""
    seconds = _seconds(value) if isinstance(value, str) else value
    if not isinstance(seconds, bool) and isinstance(seconds, int | float) and 0 < seconds < LARGEST:
        return float(seconds)
    raise RequirementError(f"{what}={value!r} is not a time: give seconds, or text such as '90 min' or '1:30:00'")


def _seconds(text: str) -> float | None:
    clock = re.match(_CLOCK, text)
    if not clock:
        return _spans(text)
    days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def _spans(text: str) -> float | None:
    total, position, span = 0.0, 0, re.compile(_SPAN)
    while position < len(text):
        found = span.match(text, position)
        if not found:
            return None
        unit = found.group(2).lower() or "s"
        scale = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
        if scale is None:
            return None
        total += float(found.group(1)) * scale
        position = found.end()
    return total


def parse_cores(value: object, what: str = "cores") -> float:
    """A positive number of cores; fractions are allowed. Raises RequirementError."""
    number = value
    if isinstance(value, str) and re.match(_NUMBER, value):
        number = float(value)
    if not isinstance(number, bool) and isinstance(number, int | float) and 0 < number < LARGEST:
        return float(number)
    raise RequirementError(f"{what}={value!r} is not a number of cores: give a positive number such as 2 or 0.5")


def parse_accelerators(value: object, what: str = "accelerators") -> tuple[Accelerator, ...]:
    """From a count, ``"gpu"``, ``"gpu:2"``, ``"gpu:a100:2"``, an Accelerator, or a list of these."""
    if isinstance(value, Accelerator):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(one for item in value for one in parse_accelerators(item, what))
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return (Accelerator(count=value),) if value else ()
    if isinstance(value, str):
        parsed = _accelerator(value.strip())
        if parsed is not None:
            return parsed
    raise RequirementError(f"{what}={value!r} is not understood: give a count, or text such as 'gpu:1' or 'gpu:a100:2'")


def _accelerator(text: str) -> tuple[Accelerator, ...] | None:
    if not text:
        return ()
    parts = text.split(":")
    count = int(parts.pop()) if parts[-1].isdecimal() else 1
    if not parts:
        return (Accelerator(count=count),) if count else ()
    if len(parts) > 2 or not all(parts) or count < 1:
        return None
    return (Accelerator(kind=parts[0], model=parts[1] if len(parts) == 2 else None, count=count),)


def parse_field(field: str, value: object, *, job: str = "") -> object:
    """One field of a `Request` from what the user wrote; the message names `job`. Raises RequirementError."""
    what = f"{field} of job {job}: {field}" if job else field
    if field in ("memory", "disk"):
        return parse_size(value, what)
    if field == "walltime":
        return parse_duration(value, what)
    if field == "cores":
        return parse_cores(value, what)
    if field == "accelerators":
        return parse_accelerators(value, what)
    if field == "preemptible" and isinstance(value, bool):
        return value
    raise RequirementError(f"{what}={value!r} is not understood")


def excess(request: Request, ceiling: Ceiling) -> str | None:
    """Say in words which requirement no machine can meet, or None if all can be met."""
    for field, show in (("cores", _plain), ("memory", format_size), ("disk", format_size)):
        asked, most = getattr(request, field), getattr(ceiling, field)
        if asked is not None and most is not None and asked > most:
            return f"{field}={show(asked)}, but the most that one job can get here is {show(most)}"
    devices = sum(one.count for one in request.accelerators or ())
    if ceiling.accelerators is not None and devices > ceiling.accelerators:
        return f"{devices} accelerator(s), but the most that one job can get here is {ceiling.accelerators}"
    return None


def _plain(number: float) -> str:
    return f"{number:g}"


def format_size(size: float) -> str:
    """Bytes in words that `parse_size` reads back: ``"512 MiB"``."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 or value == int(value) else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def format_duration(seconds: float) -> str:
    """Seconds in words for people: ``"1.5 s"``, ``"3 min 20 s"``, ``"2 h 05 min"``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
