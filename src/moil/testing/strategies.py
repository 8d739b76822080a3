"""Hypothesis strategies for whole programs; see `moil.testing.programs`."""

from __future__ import annotations

from hypothesis import strategies as st

from moil.testing.programs import Plan, Step

_ARGS = st.lists(st.integers(0, 6), min_size=1, max_size=3).map(tuple)
_RETURNS = st.lists(st.integers(0, 9), max_size=3).map(tuple)
_SHAPES = st.sampled_from(["list", "dict", "box", "bare"])
_SIMPLE = st.sampled_from(["inline", "pair", "part", "save", "flaky", "defer"])
_DEEP = st.sampled_from(["call", "call", "box", "memory", "after", "checkpoint"])


def plans(depth: int = 3) -> st.SearchStrategy[Plan]:
    """Plans whose jobs nest `depth` deep at most."""
    return st.builds(
        lambda steps, returns, shape, number: Plan(steps=tuple(steps), returns=returns, shape=shape, number=number),
        st.lists(steps(depth), max_size=4 if depth > 1 else 2),
        _RETURNS,
        _SHAPES,
        st.integers(0, 99),
    )


def steps(depth: int) -> st.SearchStrategy[Step]:
    """What a job may do that has `depth` levels below it."""
    simple = st.builds(lambda kind, args: Step(kind=kind, args=args), _SIMPLE, _ARGS)
    if depth <= 0:
        return simple
    deep = st.builds(
        lambda kind, args, plan: Step(kind=kind, args=args, plan=plan), _DEEP, _ARGS, st.deferred(lambda: plans(depth - 1))
    )
    block = st.builds(
        lambda args, inner: Step(kind="service", args=args, steps=tuple(inner)),
        _ARGS,
        st.lists(st.deferred(lambda: steps(depth - 1)), max_size=3),
    )
    return st.one_of(simple, deep, deep, block)
