"""A function becomes a command: its signature the arguments, its docstring the help, its result the output."""

from __future__ import annotations

import datetime as dt
import functools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moil.errors import FileError, UsageError
from moil.options import add_engine_options, flags_from
from moil.engine_settings import EngineSettings
from moil.result import render_result
from moil.signature import command_line

if TYPE_CHECKING:
    from decimal import Decimal

Sample = NewType("Sample", str)


@dataclass(frozen=True)
class Upload:
    """Stands for the engine's File."""

    path: str


class Aligner(Enum):
    BWA = "bwa mem"
    STAR = 2


class Grade(StrEnum):
    GOOD = "good"


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


def upload(word: str) -> Upload:
    if word == "nowhere":
        raise FileError("nowhere: no such file")
    return Upload(word)


def call(fn: Callable[..., Any], *argv: str) -> Any:
    line = command_line(fn, file_type=Upload, make_file=upload, prog="main.py")
    add_engine_options(line.parser, EngineSettings)
    args, kwargs, _ = line.parse(argv)
    return fn(*args, **kwargs)


def failure(fn: Callable[..., Any], *argv: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        call(fn, *argv)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("usage: main.py ")
    return printed.err.splitlines()[-1]


def shown(fn: Callable[..., Any]) -> str:
    line = command_line(fn, file_type=Upload, make_file=upload, prog="main.py")
    add_engine_options(line.parser, EngineSettings)
    return line.parser.format_help()


def words(text: str) -> str:
    return " ".join(text.split())


# From signature to call


def count(texts: list[Upload], top: int = 10, *, language: str = "en") -> tuple[object, ...]:
    return texts, top, language


def test_what_has_no_default_is_an_argument_and_what_has_one_an_option() -> None:
    assert call(count, "a.txt", "b.txt") == ([Upload("a.txt"), Upload("b.txt")], 10, "en")
    assert call(count, "a.txt", "--top", "3", "--language=de") == ([Upload("a.txt")], 3, "de")


def test_options_may_stand_among_the_arguments() -> None:
    assert call(count, "a", "--top", "3", "b", "--retries", "2", "c") == ([Upload("a"), Upload("b"), Upload("c")], 3, "en")


def test_behind_two_dashes_nothing_is_an_option() -> None:
    assert call(count, "--top", "3", "--", "--top", "-h") == ([Upload("--top"), Upload("-h")], 3, "en")


def test_what_is_not_given_stays_out_of_the_call() -> None:
    line = command_line(count, file_type=Upload, make_file=upload)
    assert line.parse(["a"])[:2] == (([Upload("a")],), {})
    assert line.parse(["a", "--language", "de"])[:2] == (([Upload("a")],), {"language": "de"})


def test_a_mutable_default_stays_the_functions_own() -> None:
    def fn(names: list[str] = []) -> list[str]:  # noqa: B006
        return names

    assert call(fn, "--names", "a", "b", "--names", "c") == ["a", "b", "c"]
    assert call(fn, "--names") == []
    assert call(fn) == []


def test_a_keyword_only_parameter_without_default_is_a_required_option(capsys: pytest.CaptureFixture[str]) -> None:
    def fn(*, threads: int) -> int:
        return threads

    assert call(fn, "--threads", "4") == 4
    assert failure(fn, capsys=capsys) == "main.py: error: the following arguments are required: --threads"


def test_a_truth_value_is_a_switch(capsys: pytest.CaptureFixture[str]) -> None:
    def fn(gzip: bool, no_cache: bool = False, check: bool = True) -> tuple[bool, ...]:
        return gzip, no_cache, check

    assert call(fn, "--gzip") == (True, False, True)
    assert call(fn, "--no-gzip", "--no-cache", "--no-check") == (False, True, False)
    assert "required: --gzip/--no-gzip" in failure(fn, capsys=capsys)


def test_the_rest_of_the_arguments() -> None:
    def fn(first: str, second: int = 2, *rest: int, last: int = 0) -> tuple[object, ...]:
        return first, second, rest, last

    assert call(fn, "a") == ("a", 2, (), 0)
    assert call(fn, "a", "3", "--last", "1", "4") == ("a", 2, (3, 4), 1)
    assert call(fn, "a", "--second", "5", "6") == ("a", 5, (6,), 0)


def test_positional_only_parameters() -> None:
    def fn(first: int, second: int = 2, /, third: int = 3) -> tuple[int, ...]:
        return first, second, third

    assert (call(fn, "1", "--second", "5"), call(fn, "1", "--third", "7")) == ((1, 5, 3), (1, 2, 7))
    assert call(lambda first=1, second=2, /: (first, second), "--second", "5") == (1, 5)


def test_an_underscore_is_a_dash_and_none_at_the_end() -> None:
    def fn(min_length: int = 1, from_: str = "") -> tuple[int, str]:
        return min_length, from_

    assert call(fn, "--min-length", "3", "--from", "x") == (3, "x")


def test_unannotated_parameters_are_of_their_defaults_type() -> None:
    def fn(name, times=2, ratio=0.5, loud=False, sizes=(1, 2), tool=Aligner.BWA, at=Path("x"), nil=None):  # type: ignore[no-untyped-def]
        return name, times, ratio, loud, sizes, tool, at, nil

    argv = shlex.split("7 --times 3 --ratio 1 --loud --sizes 4 5 --tool STAR --at y --nil z")
    assert call(fn, *argv) == ("7", 3, 1.0, True, (4, 5), Aligner.STAR, Path("y"), "z")


def test_all_kinds_of_annotations() -> None:
    def fn(
        at: Path,
        pure: PurePosixPath,
        tool: Aligner,
        mode: Literal["fast", 2],
        sample: Sample,
        noted: Annotated[int, "a note"],
        anything: Any,
        maybe: Optional[float] = None,  # noqa: UP045
        box: tuple[int, str] = (0, ""),
        names: tuple[str, ...] = (),
        unique: set[int] = frozenset(),  # type: ignore[assignment]
        frozen: frozenset[Aligner] = frozenset(),
        env: Mapping[str, int] | None = None,
        files: Sequence[Upload | None] = (),
        bare: list = [],  # type: ignore[type-arg]  # noqa: B006
        flags: list[bool] = [],  # noqa: B006
    ) -> dict[str, Any]:
        return locals()

    argv = "a b STAR 2 s 5 x --maybe 0.5 --box 1 z --names p q --unique 1 2 1 --frozen BWA --env A=1 --env B=2"
    assert call(fn, *shlex.split(f"{argv} --files f g --bare u --flags yes off")) == {
        "at": Path("a"),
        "pure": PurePosixPath("b"),
        "tool": Aligner.STAR,
        "mode": 2,
        "sample": "s",
        "noted": 5,
        "anything": "x",
        "maybe": 0.5,
        "box": (1, "z"),
        "names": ("p", "q"),
        "unique": {1, 2},
        "frozen": frozenset({Aligner.BWA}),
        "env": {"A": 1, "B": 2},
        "files": [Upload("f"), Upload("g")],
        "bare": ["u"],
        "flags": [True, False],
    }


def test_an_argument_that_may_be_none_may_be_left_out() -> None:
    def fn(name: str | None, extra: list[int] | None, loud: bool | None) -> tuple[object, ...]:
        return name, extra, loud

    assert call(fn) == (None, None, None)
    assert call(fn, "a", "1", "2", "--no-loud") == ("a", [1, 2], False)


def test_a_job_is_its_function() -> None:
    @functools.wraps(count)
    def job(*args: object, **kwargs: object) -> object:
        return count(*args, **kwargs)  # type: ignore[arg-type]

    assert call(job, "a", "--top", "1") == ([Upload("a")], 1, "en")


def test_a_return_type_only_a_type_checker_can_see_is_no_hindrance() -> None:
    def fn(number: int) -> Decimal:
        return number  # type: ignore[return-value]

    assert call(fn, "3") == 3


def test_the_users_parameters_win_over_the_engines_options() -> None:
    def fn(retries: int = 0, clean: bool = False, e: int = 1) -> tuple[object, ...]:
        return retries, clean, e

    line = command_line(fn, file_type=Upload, make_file=upload)
    add_engine_options(line.parser, EngineSettings)
    args, kwargs, namespace = line.parse(["--retries", "5", "--moil-retries", "2", "--clean", "--max-jobs", "1"])
    assert fn(*args, **kwargs) == (5, True, 1)
    assert {key: given.value for key, given in flags_from(namespace).items()} == {"retries": "2", "max_jobs": "1"}


def test_a_parameter_may_be_called_help() -> None:
    def fn(help: str = "") -> str:
        return help

    assert call(fn, "--help", "me") == "me"


# What the command line cannot do is said at once


def refusal(fn: Callable[..., Any]) -> str:
    with pytest.raises(UsageError) as caught:
        command_line(fn, file_type=Upload, make_file=upload)
    return str(caught.value)


def test_a_dataclass_is_refused_with_the_cure() -> None:
    def fn(where: Point) -> None: ...

    assert refusal(fn) == (
        "parameter 'where' of fn() cannot be given on a command line: no word can stand for Point; "
        "call moil.run(fn, ...) behind an argparse parser of your own, or give it another type"
    )


def test_even_one_with_a_default() -> None:
    def fn(where: Point = Point(1)) -> None: ...
    def unannotated(where=Point(1)): ...  # type: ignore[no-untyped-def]

    assert "'where' of fn()" in refusal(fn)
    assert "'where' of unannotated()" in refusal(unannotated)


def test_other_things_no_word_can_stand_for() -> None:
    def union(x: int | str) -> None: ...
    def nested(x: list[list[int]]) -> None: ...
    def options(**x: int) -> None: ...
    def rest(*x: list[int]) -> None: ...
    def unseen(x: Decimal) -> None: ...

    assert "no word can stand for int | str" in refusal(union)
    assert "no word can stand for list[int]" in refusal(nested)
    assert "only options that have a name in the signature" in refusal(options)
    assert "each of its values would itself take many words" in refusal(rest)
    assert "its annotation cannot be evaluated (name 'Decimal' is not defined)" in refusal(unseen)


def test_two_parameters_cannot_have_the_same_words() -> None:
    def greedy(left: list[str], right: list[str]) -> None: ...
    def alike(cache: bool = True, no_cache: bool = True) -> None: ...

    assert "'right' of greedy() cannot be given on a command line: 'left' takes all arguments already" in refusal(greedy)
    assert "its option --no-cache is that of another parameter" in refusal(alike)


# What the user gets wrong


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ("", "the following arguments are required: at, tool"),
        ("1 BWA --ratio x", "argument --ratio: 'x' is not a number"),
        ("one BWA", "argument at: 'one' is not a whole number"),
        ("1 bwa", "argument tool: 'bwa' is none of BWA, STAR"),
        ("1 STAAR", "argument tool: 'STAAR' is none of BWA, STAR; did you mean 'STAR'?"),
        ("1 STAR --marks a", "argument --marks: 'a' is not NAME=VALUE"),
        ("1 STAR --marks a=b", "argument --marks: 'a=b' is not a whole number"),
        ("1 STAR --file nowhere", "argument --file: nowhere: no such file"),
        ("1 STAR --box x y", "argument --box: 'x' is not a whole number"),
        ("1 STAR --flags maybe", "argument --flags: 'maybe' is neither true nor false"),
        ("1 STAR --rat 3", "unrecognized arguments: --rat 3"),
        ("1 STAR --retries x", "argument --retries: retries='x' is not a whole number"),
    ],
)
def test_a_mistake_gets_usage_and_one_line(argv: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fn(
        at: int,
        tool: Aligner,
        ratio: float = 1.0,
        marks: dict[str, int] | None = None,
        file: Upload | None = None,
        box: tuple[int, str] = (0, ""),
        flags: list[bool] | None = None,
    ) -> None: ...

    assert failure(fn, *argv.split(), capsys=capsys) == f"main.py: error: {complaint}"


# Help


def google(texts: list[Upload], top: int = 10, tool: Aligner = Aligner.STAR, gzip: bool = True) -> None:
    """Count 100% of the words
    in some texts.

    Not shown.

    Args:
        texts: What to read,
            wherever it is.
        top (int, optional): So many: no more.
        gzip: Compress.

    Returns:
        top: not this
    """


def numpy(texts: list[Upload], top: int = 10, tool: Aligner = Aligner.STAR, gzip: bool = True) -> None:
    """Count 100% of the words in some texts.

    Parameters
    ----------
    texts : list of Upload
        What to read,
        wherever it is.
    top : int
        So many: no more.
    tool, gzip
        Compress.

    Returns
    -------
    top
        not this
    """


def sphinx(texts: list[Upload], top: int = 10, tool: Aligner = Aligner.STAR, gzip: bool = True) -> None:
    """Count 100% of the words in some texts.

    :param texts: What to read,
        wherever it is.
    :param int top: So many: no more.
    :param gzip: Compress.
    :type gzip: bool
    :returns: top: not this
    """


@pytest.mark.parametrize("fn", [google, numpy, sphinx])
def test_the_docstring_is_the_help(fn: Callable[..., Any]) -> None:
    text = words(shown(fn))
    assert "Count 100% of the words in some texts." in text
    assert "texts What to read, wherever it is." in text
    assert "--top N So many: no more. (default: 10)" in text
    assert "--gzip, --no-gzip Compress. (default: --gzip)" in text
    assert "(default: STAR)" in text
    assert "Not shown" not in text
    assert "not this" not in text


def test_usage_names_the_users_parameters_and_not_every_option_of_the_engine() -> None:
    usage = words(shown(google).split("\n\n")[0])
    assert usage.endswith("texts [texts ...] [engine options]")
    assert "--retries" not in usage


# Every value that has words survives the command line

few = settings(max_examples=40)
word = st.text(max_size=8)
whole = st.integers()
number = st.floats(allow_nan=False)
path = word.map(Path)
name = word.filter(lambda text: "=" not in text)


@few
@given(whole, number, word, path, st.sampled_from(Aligner))
def test_each_type_survives_as_an_option(i: int, f: float, s: str, p: Path, e: Aligner) -> None:
    def fn(i: int = 0, f: float = 0.0, s: str = "", p: Path = Path(), e: Aligner = Aligner.BWA) -> tuple[object, ...]:
        return i, f, s, p, e

    assert call(fn, f"--i={i}", f"--f={f}", f"--s={s}", f"--p={p}", f"--e={e.name}") == (i, f, s, p, e)


@few
@given(whole, number, number)
def test_negative_numbers_need_no_care(i: int, f: float, g: float) -> None:
    def fn(i: int, f: float, g: float = 0.0) -> tuple[float, ...]:
        return i, f, g

    assert call(fn, str(i), str(f), "--g", str(g)) == (i, f, g)


@few
@given(word, whole, path)
def test_each_type_survives_as_an_argument(s: str, i: int, p: Path) -> None:
    def fn(s: str, i: int, p: Path) -> tuple[object, ...]:
        return s, i, p

    if "--" not in (s, str(p)):
        assert call(fn, "--", s, str(i), str(p)) == (s, i, p)


@few
@given(st.lists(whole, min_size=1), st.sets(number), st.dictionaries(name, word))
def test_collections_survive(numbers: list[int], ratios: set[float], labels: dict[str, str]) -> None:
    def fn(
        numbers: list[int],
        ratios: set[float] = {0.0},  # noqa: B006
        labels: dict[str, str] = {"": ""},  # noqa: B006
    ) -> tuple[object, ...]:
        return numbers, ratios, labels

    given_labels = [f"--labels={key}={value}" for key, value in labels.items()] or ["--labels"]
    argv = [*map(str, numbers), "--ratios", *map(str, ratios), *given_labels]
    assert call(fn, *argv) == (numbers, ratios, labels)


# The result


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("as it is", "as it is"),
        (Grade.GOOD, "good"),
        (True, "true"),
        ([1, "ä", None], '[1, "ä", null]'),
        ((1, (2,)), "[1, [2]]"),
        ({3, 1, 2}, "[1, 2, 3]"),
        ({"b", 1}, '["b", 1]'),
        ({"x": Point(1, 2)}, '{"x": {"x": 1, "y": 2}}'),
        (Path("a/b"), '"a/b"'),
        ({Path("a"): Aligner.BWA, Grade.GOOD: 1, 2: 3}, '{"a": "bwa mem", "good": 1, "2": 3}'),
        (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), '"2026-01-02T03:04:00+00:00"'),
        ([SimpleNamespace(tolist=lambda: 1.5)], "[1.5]"),
        (float("nan"), "nan"),
        ([Fraction(1, 2)], "[Fraction(1, 2)]"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (b"x", "b'x'"),
        (Point, repr(Point)),
    ],
)
def test_a_result_is_text_or_json_or_its_repr(value: object, text: str | None) -> None:
    assert render_result(value) == text


def test_a_result_that_contains_itself_is_its_repr() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert render_result(endless) == "[[...]]"


def test_a_hook_is_asked_before_anything_else_about_what_json_does_not_know() -> None:
    def hook(value: object) -> object:
        return value.path if isinstance(value, Upload) else int(value)  # type: ignore[call-overload]

    assert render_result({"report": Upload("r.txt"), "at": Path("x")}, default=hook) == '{"report": "r.txt", "at": "x"}'
