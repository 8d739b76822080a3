"""A batch system made of any scheduler of many machines and a job store.

    leader -- submit --> pending --(clerk)--> batches in the store, arrays in the scheduler
    worker -- letters --> store --(reader)--> reports --> leader

The scheduler starts workers and ends them; what they do and what comes of it goes through the store. So an attempt is
over when its letter is there, however long the scheduler takes to notice, and the scheduler is asked only now and then,
about everything at once, for what a letter cannot say: that a worker runs, or that it will never write.

The leader's thread never blocks: a *clerk* thread talks to the scheduler (one command at a time, with back-off while it
does not answer), a *reader* thread looks into the store (often while there is news, seldom while there is none). Both
put what they find into a queue and wake the leader.

An attempt's external id is its token. What the scheduler calls it is found out anew by every leader: each array carries
a label, ``moil:<run>:<batch>``, the scheduler is asked for those of this run, and the batch in the store says whose
members they are. So nothing is lost between the moment a scheduler accepts an array and the moment a leader writes that
down, and queued and running attempts are adopted after a restart.

As a rule attempts are not submitted themselves, but laid down where *pilots* take them (`moil.runtime.fleet`, which this
is the stage of), and the scheduler knows pilots only. Services are submitted all the same; so is what asks for accelerators,
unless the user has asked for pilots, and everything if the user wants none.

When the scheduler says that a member is over and no letter is there, the store is looked at again for `LATE` seconds,
since one machine may see another's files late. Then the scheduler's word counts.
"""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from moil.core.records import Failure, Outcome, Usage
from moil.core.requirements import Ceiling
from moil.errors import DeploymentError
from moil.ports.batch_system import ExternalId, Phase, Report, Submission
from moil.ports.scheduler import SchedulerDown, SchedulerId, Seen, Standing
from moil.record import record
from moil.runtime.clerk import Clerk, News, Site
from moil.runtime.fleet import Fleet
from moil.runtime.mailbox import Letter
from moil.runtime.reader import Reader

UNSEEN = 2
"""Answers in a row that do not name an attempt, after which the scheduler has forgotten it."""
LATE = 5.0
KEPT = 3.0
"""Seconds for which a letter stays after it was reported: long enough for the leader to have written it down."""
LAST_WORDS = 2000


@record(kw_only=False, frozen=False)
class _Member:
    """One attempt that is out."""

    token: str
    batch: str = ""
    id: SchedulerId = ""
    started: bool = False
    up: bool = False
    cancelled: bool = False
    #: How many answers in a row have not named it.
    unseen: int = 0
    #: What the scheduler said when it said that it was over, and when.
    over: Seen | None = None
    over_at: float = 0.0


class ClusterBatchSystem:
    """Runs attempts on the machines of a scheduler."""

    poll_interval: float | None = None

    def __init__(self, site: Site) -> None:
        self._site = site
        self.ceiling: Ceiling = site.scheduler.ceiling
        self.window = site.window
        self._out: dict[ExternalId, _Member] = {}
        self._by_id: dict[SchedulerId, _Member] = {}
        self._batches: dict[str, set[str]] = {}
        self._adopted = False
        self._proven = False
        self.reasons: Mapping[str, int] = {}
        self._complained: set[str] = set()
        self._reports: list[Report] = []
        self._done: list[tuple[float, str, str]] = []
        #: Attempts whose end has been reported, for as long as we are asked about them.
        self._ended: set[ExternalId] = set()
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._clerk = Clerk(site, self._tell)
        self._reader = Reader(site, self._tell)
        self._fleet = Fleet(site, self._clerk, self, self._tell)

    def _tell(self, news: News) -> None:
        self._news.put(news)
        self._site.reactor.wake()

    # -- the port ------------------------------------------------------------------------------------------------

    def submit(self, submissions: Sequence[Submission]) -> Sequence[ExternalId]:
        """Have the clerk submit them; those that a leader before has submitted are taken up by `adopt`."""
        for one in submissions:
            self._out[one.token] = _Member(one.token)
        self._fleet.submit([one for one in submissions if self._is_for_pilots(one)])
        self._clerk.submit([one for one in submissions if not self._fleet.has(one.token)])
        return [one.token for one in submissions]

    def _is_for_pilots(self, submission: Submission) -> bool:
        """Pilots import the program before they fork; a device that was looked at before a fork is of no use after it."""
        pilots, devices = self._site.pilots, submission.requirements.accelerators
        return pilots != 0 and not submission.service and (pilots is not None or not devices)

    def poll(self, ids: Collection[ExternalId]) -> Iterable[Report]:
        """What the threads have found out. Raises DeploymentError if no worker can be started at all."""
        self._ended.intersection_update(ids)
        for token in ids:
            if token not in self._out and token not in self._ended and not self._adopted:
                self._out[token] = _Member(token)
        self._take_news()
        if self._adopted:
            self._report_unknown(ids)
        self._give_up_on_the_late()
        self._fleet.step()
        self._tidy()
        watched = self._watched()
        self._clerk.watch(watched)
        if not watched:
            self.reasons = {}
        self._reader.watch(self._out)
        self._reader.follow(claims=self._fleet.busy)
        reports, self._reports = self._reports, []
        return reports

    def _watched(self) -> list[SchedulerId]:
        """What the scheduler has of ours that is not over."""
        return [*self._fleet.ids, *(one.id for one in self._out.values() if one.id and one.over is None)]

    def cancel(self, ids: Collection[ExternalId]) -> None:
        """End them, queued or running."""
        withdrawn = self._clerk.withdraw(ids)
        for token in ids:
            member = self._out.get(token)
            if member is None:
                continue
            member.cancelled = True
            if token in withdrawn and not member.id:
                self._end(member, Outcome.cancelled, Failure(error="cancelled before it was submitted"))
        self._fleet.cancel([token for token in ids if token in self._out and self._fleet.has(token)])
        known = [one.id for token in ids if (one := self._out.get(token)) is not None and one.id]
        self._clerk.cancel(known)

    def stop(self, ids: Collection[ExternalId]) -> None:
        """Leave word for the services."""
        for token in ids:
            self._site.mailbox.ask_to_stop(token)

    def close(self) -> None:
        """Nothing stays in the queue."""
        self._reader.close()
        self._clerk.close(self._watched())
        self._cancel_the_last()
        self._site.scheduler.close()

    def _cancel_the_last(self) -> None:
        """What the clerk has still submitted while it was closed."""
        last: list[SchedulerId] = []
        with suppress(queue.Empty):
            while True:
                news = self._news.get_nowait()
                last += [one for _, ids in news.recruited for one in ids]
                last += [scheduler_id for _, _, scheduler_id in news.submitted]
        if last:
            with suppress(SchedulerDown):
                self._site.scheduler.cancel(last)

    # -- news ----------------------------------------------------------------------------------------------------

    def _take_news(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._take(self._news.get_nowait())

    def _take(self, news: News) -> None:
        if news.fatal is not None:
            raise news.fatal
        if news.found is not None:
            self._adopt(news.found)
            self._fleet.adopt(news.queued, news.pilots, news.found)
        self._fleet.take(news)
        for token, batch, scheduler_id in news.submitted:
            self._placed(token, batch, scheduler_id)
        for token, why in news.refused:
            member = self._out.get(token)
            if member is not None:
                self._end(member, Outcome.failed, Failure(error=why))
        for kind, letter in news.letters:
            self._take_letter(kind, letter)
        self._fleet.unbegun([letter.token for _, letter in news.letters if letter.unbegun])
        for name, sack in news.sacks:
            if sack is not None:
                self._fleet.heard(sack)
            self._done.append((self._site.clock.now(), name, ""))
        if news.seen is not None:
            self._take_seen(news.seen)
            self._fleet.seen(news.seen, news.asked)
            self._take_unseen(set(news.asked) - news.seen.keys())

    def _adopt(self, found: Mapping[str, tuple[str, SchedulerId]]) -> None:
        """These were submitted by the leader before."""
        self._adopted = True
        for token, (batch, scheduler_id) in found.items():
            if token in self._out:
                self._placed(token, batch, scheduler_id)
            elif not self._site.wants(token):
                self._clerk.cancel([scheduler_id])

    def _placed(self, token: str, batch: str, scheduler_id: SchedulerId) -> None:
        self._batches.setdefault(batch, set()).add(token)
        member = self._out.get(token)
        if member is None:
            self._clerk.cancel([scheduler_id])
            return
        member.batch, member.id, member.over = batch, scheduler_id, None
        self._by_id[scheduler_id] = member
        if member.cancelled:
            self._clerk.cancel([scheduler_id])

    def _report_unknown(self, ids: Collection[ExternalId]) -> None:
        """What neither the scheduler nor anybody here has heard of."""
        for token in ids:
            member = self._out.get(token)
            if member is None and token not in self._ended:
                self._ended.add(token)
                self._reports.append(_lost(token, "nobody knows of this attempt any more"))
            elif member is None:
                continue
            elif not (member.id or member.over or self._clerk.has(token) or self._fleet.has(token)):
                member.over = Seen(standing=Standing.ended, outcome=Outcome.lost, reason="the scheduler knows nothing of it")
                member.over_at = self._site.clock.now()

    # -- letters -------------------------------------------------------------------------------------------------

    def _take_letter(self, kind: str, letter: Letter) -> None:
        member = self._out.get(letter.token)
        if letter.unbegun or (member is None and kind == "sack"):
            return
        if member is None:
            self._done.append((self._site.clock.now(), letter.token, ""))
            return
        if letter.undeployed:
            self._undeployed(member, letter.error, letter.host)
            return
        self._proven = True
        used = Usage(**letter.usage)
        if kind == "sack" and letter.record is not None and not (letter.verdict or letter.terminated):
            self._end(member, letter.outcome, None, used, letter)
            return
        self._started(member, letter.host)
        if kind == "up":
            member.up = True
            self._reports.append(
                Report(id=member.token, phase=Phase.up, record=letter.record, usage=used, host=letter.host)
            )
            return
        if letter.terminated:
            self._wait_for_verdict(member, letter)
            return
        if letter.record is not None:
            self._reports.append(
                Report(id=member.token, phase=Phase.returned, record=letter.record, usage=used, host=letter.host)
            )
        failure = None
        if letter.record is None or letter.verdict:
            failure = Failure(error=letter.error, host=letter.host)
        self._end(member, letter.outcome, failure, used)

    def _wait_for_verdict(self, member: _Member, letter: Letter) -> None:
        """The scheduler ended it, and will say why."""
        if member.cancelled:
            self._end(member, Outcome.cancelled, Failure(error="cancelled", host=letter.host), Usage(**letter.usage))
            return
        if member.over is None:
            self._clerk.hurry()

    def _undeployed(self, member: _Member, why: str, host: str) -> None:
        if not self._proven:
            raise DeploymentError(f"no worker can be started: {why}")
        self._end(member, Outcome.node_failed, Failure(error=f"the worker could not be started: {why}", host=host))

    def _started(self, member: _Member, host: str) -> None:
        if not member.started:
            member.started = True
            self._reports.append(Report(id=member.token, phase=Phase.started, host=host))

    # -- what the scheduler says ---------------------------------------------------------------------------------

    def _take_seen(self, seen: Mapping[SchedulerId, Seen]) -> None:
        now = self._site.clock.now()
        for scheduler_id, one in seen.items():
            member = self._by_id.get(scheduler_id)
            if member is None or member.over is not None:
                continue
            member.unseen = 0
            if one.standing is Standing.running:
                self._started(member, one.host)
            elif one.standing is Standing.ended:
                member.over, member.over_at = one, now
                self._reader.hurry()
        self._take_reasons([one for one in seen.values() if one.standing is Standing.queued and one.reason])

    def _take_reasons(self, waiting: Sequence[Seen]) -> None:
        """Why they wait. What waits in vain is told, once for each reason."""
        self.reasons = Counter(one.reason for one in waiting)
        for why in dict.fromkeys(one.reason for one in waiting if one.stuck):
            kind = why.partition(":")[0]  # what follows may name machines, and change all the time
            if kind not in self._complained:
                self._complained.add(kind)
                self._site.say(f"{self.reasons[why]} in the queue wait in vain: {why}")

    def _take_unseen(self, ids: Iterable[SchedulerId]) -> None:
        """The scheduler has forgotten them, or soon will: some drop at once what is cancelled while it waits."""
        for scheduler_id in ids:
            member = self._by_id.get(scheduler_id)
            if member is not None and member.over is None:
                member.unseen += 1
                if member.unseen >= UNSEEN:
                    reason = "the scheduler knows nothing of it"
                    member.over = Seen(standing=Standing.ended, outcome=Outcome.lost, reason=reason)
                    member.over_at = self._site.clock.now()

    def _give_up_on_the_late(self) -> None:
        """The scheduler has said that they are over, and they have not written."""
        now = self._site.clock.now()
        for member in [one for one in self._out.values() if one.over is not None]:
            assert member.over is not None
            if now < member.over_at + LATE and not member.cancelled:
                continue
            self._end_by_word(member, member.over)

    def _end_by_word(self, member: _Member, seen: Seen) -> None:
        words = self.last_words(member.id) if seen.outcome in _UNEXPLAINED else ""
        if seen.exit_status is not None and seen.exit_status in UNDEPLOYED:
            self._undeployed(member, words or seen.reason, seen.host)
            return
        if seen.outcome is Outcome.failed and not (self._proven or member.cancelled or self._has_log(member.id)):
            hint = "it could not even write its log: is the job store to be seen there? (moil doctor --batch-system … tells)"
            self._undeployed(member, f"on {seen.host or 'a machine'} {seen.reason}; {hint}", seen.host)
            return
        outcome = Outcome.cancelled if member.cancelled else seen.outcome
        why = seen.reason or f"the scheduler reports it {outcome.value}"
        if outcome is Outcome.completed:
            outcome, why = Outcome.lost, "the worker ended and left no outcome"
        self._end(member, outcome, Failure(error=f"{why}{f'; it said: {words}' if words else ''}", host=seen.host))

    def _has_log(self, scheduler_id: SchedulerId) -> bool:
        """Whether the scheduler could write where workers write; if that is not known, it could."""
        return self._site.logs is None or (self._site.logs / f"{scheduler_id}.log").exists()

    def last_words(self, scheduler_id: SchedulerId) -> str:
        """What the scheduler's own log of a worker ends with, on one line."""
        if self._site.logs is None or not scheduler_id:
            return ""
        with suppress(OSError):
            data = (self._site.logs / f"{scheduler_id}.log").read_bytes()[-LAST_WORDS:]
            lines = (line.removeprefix("moil: ") for line in data.decode(errors="replace").splitlines())
            return " | ".join(line for line in lines if line.strip())
        return ""

    # -- what the fleet says -------------------------------------------------------------------------------------

    def begun(self, token: str, host: str) -> None:
        """A pilot has begun the attempt."""
        if token in self._out:
            self._started(self._out[token], host)

    def withdrawn(self, token: str, outcome: Outcome, why: str) -> None:
        """No pilot will begin it."""
        if token in self._out:
            self._end(self._out[token], outcome, Failure(error=why))

    def end_by_word(self, token: str, scheduler_id: SchedulerId, seen: Seen) -> None:
        """What the scheduler says of its pilot."""
        member = self._out.get(token)
        if member is None:
            self._fleet.done(token)
            return
        member.id = scheduler_id
        self._end_by_word(member, seen)

    def wants(self, token: str) -> bool:
        """Whether it still has to end; the leader hears only later what has ended since it asked."""
        return token not in self._ended and self._site.wants(token)

    def is_cancelled(self, token: str) -> bool:
        """Whether it is to end."""
        return token in self._out and self._out[token].cancelled

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(
        self,
        member: _Member,
        outcome: Outcome,
        failure: Failure | None,
        usage: Usage = Usage(),
        letter: Letter | None = None,
    ) -> None:
        """It is over. With a letter it has returned as well."""
        self._out.pop(member.token, None)
        self._ended.add(member.token)
        self._by_id.pop(member.id, None)
        if self._fleet.has(member.token):
            self._fleet.done(member.token, usage.wall)
        else:
            self._done.append((self._site.clock.now(), member.token, member.batch))
        record, host = (letter.record, letter.host) if letter is not None else (None, "")
        self._reports.append(
            Report(
                id=member.token,
                phase=Phase.ended,
                outcome=outcome,
                record=record,
                failure=failure,
                usage=usage,
                host=host,
            )
        )
        if self._site.logs is not None and member.id:
            _remove_if_empty(self._site.logs / f"{member.id}.log")

    def _tidy(self) -> None:
        """Remove the letters that the leader has had time to write down, and batches that are through."""
        now = self._site.clock.now()
        old = [one for one in self._done if now >= one[0] + KEPT]
        if not old:
            return
        self._done = [one for one in self._done if now < one[0] + KEPT]
        over = []
        for _, token, batch in old:
            members = self._batches.get(batch)
            if members is not None:
                members.discard(token)
                if not members:
                    del self._batches[batch]
                    over.append(batch)
        self._reader.forget([token for _, token, _ in old], over)


_UNEXPLAINED = frozenset({Outcome.completed, Outcome.failed, Outcome.lost})
"""Outcomes whose cause the scheduler does not know."""

UNDEPLOYED = range(90, 95)
"""Exit statuses of the launcher (`moil.deployment.launcher`)."""


def _lost(token: str, why: str) -> Report:
    return Report(id=token, phase=Phase.ended, outcome=Outcome.lost, failure=Failure(error=why))


def _remove_if_empty(path: Path) -> None:
    with suppress(OSError):
        if path.stat().st_size == 0:
            path.unlink()
