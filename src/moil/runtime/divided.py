"""Two batch systems in one: jobs that are to run on the leader's machine, and all others.

The one at home is opened when the first such job comes: most runs have none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from moil.core.requirements import Ceiling
from moil.ports.batch_system import BatchSystem, ExternalId, Report, Submission

HOME = "home:"


class DividedBatchSystem:
    """Sends what is local to one batch system, and the rest to another. Ids of the one at home begin with `HOME`."""

    def __init__(self, away: BatchSystem, open_home: Callable[[], BatchSystem]) -> None:
        self._away, self._open_home = away, open_home
        self._home: BatchSystem | None = None

    @property
    def ceiling(self) -> Ceiling:
        """That of the machines away from here."""
        return self._away.ceiling

    @property
    def poll_interval(self) -> float | None:
        """Both wake the leader, or the one away is to be asked."""
        return self._away.poll_interval

    @property
    def window(self) -> int:
        """That of the machines away from here."""
        return self._away.window

    @property
    def reasons(self) -> Mapping[str, int]:
        """That of the machines away from here: at home what waits is not asked why."""
        return self._away.reasons

    def submit(self, submissions: Sequence[Submission]) -> Sequence[ExternalId]:
        """To each what is its."""
        local = [one for one in submissions if one.local]
        remote = [one for one in submissions if not one.local]
        ids = dict(zip((one.token for one in remote), self._away.submit(remote), strict=True)) if remote else {}
        if local:
            at_home = self._opened().submit(local)
            ids |= {one.token: HOME + found for one, found in zip(local, at_home, strict=True)}
        return [ids[one.token] for one in submissions]

    def poll(self, ids: Collection[ExternalId]) -> Iterable[Report]:
        """What both have to say."""
        home, away = _parted(ids)
        yield from self._away.poll(away)
        if home or self._home is not None:
            yield from _renamed(self._opened().poll(home))

    def cancel(self, ids: Collection[ExternalId]) -> None:
        """At both."""
        home, away = _parted(ids)
        self._away.cancel(away)
        if home:
            self._opened().cancel(home)

    def stop(self, ids: Collection[ExternalId]) -> None:
        """At both."""
        home, away = _parted(ids)
        self._away.stop(away)
        if home:
            self._opened().stop(home)

    def close(self) -> None:
        """Both."""
        self._away.close()
        if self._home is not None:
            self._home.close()

    def _opened(self) -> BatchSystem:
        if self._home is None:
            self._home = self._open_home()
        return self._home


def _parted(ids: Collection[ExternalId]) -> tuple[list[ExternalId], list[ExternalId]]:
    home = [one.removeprefix(HOME) for one in ids if one.startswith(HOME)]
    return home, [one for one in ids if not one.startswith(HOME)]


def _renamed(reports: Iterable[Report]) -> Iterator[Report]:
    for one in reports:
        yield Report(
            id=HOME + one.id,
            phase=one.phase,
            outcome=one.outcome,
            record=one.record,
            failure=one.failure,
            usage=one.usage,
            host=one.host,
        )
