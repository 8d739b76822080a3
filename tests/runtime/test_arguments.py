"""Whether arguments fit is found out without `inspect` where that can be done: it must not be wrong."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from moil.runtime.recorder import _surely_fit

NAMES = "abcdef"


def function(positional: int, both: int, named: int, defaults: int, named_defaults: int, more: int) -> Callable[..., Any]:
    """One with so many parameters of each kind; the last of them have defaults."""
    names = iter(NAMES)
    first = [next(names) for _ in range(positional + both)]
    first = [f"{name}=0" if at >= len(first) - defaults else name for at, name in enumerate(first)]
    parts = [*first[:positional], *(["/"] if positional else []), *first[positional:]]
    only = [f"{next(names)}=0" if at < named_defaults else next(names) for at in range(named)]
    parts += ["*more"] if more & 1 else ["*"] if only else []
    parts += [*only, *(["**rest"] if more & 2 else [])]
    made: dict[str, Any] = {}
    exec(f"def fn({', '.join(parts)}): ...", made)
    return made["fn"]


few = st.integers(0, 2)


@given(st.builds(function, few, few, few, few, few, st.integers(0, 3)), st.integers(0, 6), st.sets(st.sampled_from(NAMES)))
@example(function(1, 0, 0, 0, 0, 2), 0, {"a"})
@example(function(1, 0, 0, 1, 0, 2), 0, {"a"})
def test_what_surely_fits_does(fn, count, names):
    args, kwargs = (0,) * count, dict.fromkeys(names, 0)
    try:
        fn(*args, **kwargs)
        fits = True
    except TypeError:
        fits = False
    surely = _surely_fit(fn, args, kwargs)
    assert fits or not surely
    positional_only = set(fn.__code__.co_varnames[: fn.__code__.co_posonlyargcount])
    assert surely == fits or names & positional_only


def test_what_says_otherwise_of_itself_is_left_to_inspect():
    def fn(a, b):
        """Has a signature of its own."""

    assert _surely_fit(fn, (1, 2), {})
    fn.__signature__ = inspect.signature(lambda a: None)
    assert not _surely_fit(fn, (1, 2), {})
