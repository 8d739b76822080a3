"""The parts of the reference pages that are made from the code.

    python docs/generate.py

rewrites them; ``tests/test_docs.py`` fails while a page differs from what this makes. A part stands between
``<!-- generated: NAME -->`` and ``<!-- /generated -->``, where NAME is a key of `PARTS`.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

import moil
from moil import cli, errors
from moil.adapters import directory, journal_file
from moil.adapters.slurm_settings import SlurmSettings
from moil.core.records import JobState, Outcome
from moil.deployment import listing, manifest, pins, view
from moil.engine_settings import EngineSettings
from moil.runtime import files, journal, outbox, records, status
from moil.session import RECORD_FORMAT
from moil.settings import Setting, settings_of

DOCS = Path(__file__).resolve().parent

NOTES = {
    "batch_system": "`local`, `slurm` or `processes`, in this release",
    "job_store": "a directory only, in this release",
}
"""What this release does not do yet. README.md has the same list, under "What is not there yet"."""

_MARK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
_REMARK = re.compile(r"^    #: (.*)\n    (\w+) = ", re.MULTILINE)


def table(*rows: tuple[str, ...]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def settings() -> str:
    """Every setting of the engine and of the adapters that come with it, in groups."""
    known = [*settings_of(EngineSettings), *settings_of(SlurmSettings)]
    groups = dict.fromkeys(one.group for one in known)
    tables = {group: _group([one for one in known if one.group == group]) for group in groups}
    return "\n\n".join(f"### {_capital(group)}\n\n{rows}" for group, rows in tables.items())


def _group(known: list[Setting]) -> str:
    return table(("option", "default", "what it means", "Toil's spelling"), *map(_setting, known))


def _setting(one: Setting) -> tuple[str, ...]:
    option = f"`{one.flag}`, `--no-{one.spelling}`" if one.kind is bool else f"`{one.flag} {one.metavar}`"
    toil = ", ".join(f"`{word.partition('=')[0]}`" for word in one.details.get("toil", "").split())
    text = one.details.get("help", "") + (f" *({NOTES[one.name]})*" if one.name in NOTES else "")
    return option, _default(one), text, toil


def _default(one: Setting) -> str:
    if one.default in (None, ()):
        return ""
    if one.kind is bool:
        return "on" if one.default else "off"
    return f"`{one.default:g}`" if one.kind is float else f"`{one.default}`"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _remarks(of: type[Enum]) -> Iterator[tuple[str, ...]]:
    """What stands above each member of an enumeration in its source."""
    found = {name: remark for remark, name in _REMARK.findall(inspect.getsource(of))}
    for member in of:
        yield f"`{member.value}`", found[member.name]


def states() -> str:
    """The states of a job."""
    return table(("state", "what it means"), *_remarks(JobState))


def outcomes() -> str:
    """How an attempt can end."""
    return table(("outcome", "what it means"), *_remarks(Outcome))


def error_classes() -> str:
    """Every error a user can see."""
    known = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, moil.MoilError)]
    rows = [(f"`{one.__name__}`", (inspect.getdoc(one) or "").splitlines()[0], str(one.exit_status)) for one in known]
    return table(("error", "what it says", "exit status"), *rows)


def formats() -> str:
    """The version of each stored format."""
    return table(
        ("what", "where it is written down", "version"),
        ("layout of a directory job store", "`moil.adapters.directory`", str(directory.FORMAT)),
        ("journal file and its frames", "`moil.adapters.journal_file`, `moil.adapters.frames`", str(journal_file.FORMAT)),
        ("events in the journal", "`moil.runtime.journal`, `moil.core.events`", str(journal.FORMAT)),
        ("what leader and worker tell each other", "`moil.runtime.records`", str(records.FORMAT)),
        ("listing of a directory that was saved", "`moil.runtime.files`", str(files.LISTING)),
        ("the run's record, `run.json`", "`moil.session`", str(RECORD_FORMAT)),
        ("the run's status, `status/…`", "`moil.runtime.status`", str(status.FORMAT)),
        ("listing of a unit, and the order of its pack", "`moil.deployment.listing`, `….pack`", str(listing.FORMAT)),
        ("outcomes that a slot keeps for the next leader", "`moil.runtime.outbox`", str(outbox.FORMAT)),
        ("deployment", "`moil.deployment.manifest`", str(manifest.FORMAT)),
        ("pin of a run", "`moil.deployment.pins`", str(pins.FORMAT)),
        ("environment in a worker's cache", "`moil.deployment.view`", str(view.FORMAT)),
    )


def verbs() -> str:
    """The help of each verb of the `moil` command."""
    helps = {verb: _help(verb) for verb in cli.VERBS}
    helps["deploy"] += f"\n\n{_help('deploy_plan')}"
    return "\n\n".join(f"### moil {verb}\n\n{_capital(text)}.\n\n{helps[verb]}" for verb, text in cli.VERBS.items())


def _help(verb: str) -> str:
    essay = inspect.getdoc(importlib.import_module(f"moil.cli.{verb}")) or ""
    return f"```text\n{essay.strip()}\n```"


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "states": states,
    "outcomes": outcomes,
    "errors": error_classes,
    "formats": formats,
    "verbs": verbs,
}


def generated(page: str) -> str:
    """The page with its generated parts as they should be."""
    return _MARK.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", page)


def pages() -> list[Path]:
    """Every page of the documentation."""
    return sorted(DOCS.rglob("*.md"))


def main() -> None:
    """Rewrite the pages that differ."""
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = generated(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"rewrote {page.relative_to(DOCS)}")


if __name__ == "__main__":
    main()
