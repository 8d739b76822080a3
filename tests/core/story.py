"""Tests of the core as stories: what happened, and what was commanded then, and nothing else.

    story.starts().then("submit main")
    story.commits("main", job("a"), job("b", needs=["a"])).then("submit a")
    story.commits("a").then("submit b")

A command that no `then` claims is an error at the next event or at the end of the story. After each event the
invariants are checked. Jobs are known by name: of several that had the name, the youngest is meant.
"""

from moil.core import invariants
from moil.core.commands import Cancel, Fail, Finish, StopService, Submit
from moil.core.events import (
    AttemptEnded,
    AttemptsSubmitted,
    AttemptStarted,
    CancelRequested,
    DeadlineReached,
    JobCommitted,
    RunStarted,
    ServiceDown,
    ServiceUp,
)
from moil.core.explain import explain
from moil.core.policy import Policy
from moil.core.records import Call, Failure, JobState, Outcome, Submitted, Usage
from moil.core.summary import Summary
from moil.core.workflow import Workflow

BEGIN = 1000.0
_VERBS = {Submit: "submit", Cancel: "cancel", StopService: "stop", Finish: "finish", Fail: "fail"}


def job(name, **options):
    """A call; `needs`, `after` and `services` name other calls of the same commit."""
    return {"name": name, **options}


def service(name, **options):
    """A call of a service."""
    return job(name, service=True, **options)


def calls_of(specs):
    """What a parent recorded: the names resolved to places."""
    places = {spec["name"]: index for index, spec in enumerate(specs)}
    return tuple(_call(spec, places) for spec in specs)


def _call(spec, places):
    named = {key: tuple(places[name] for name in spec[key]) for key in ("needs", "after", "services") if key in spec}
    return Call(task=spec.get("task", b"task"), **{**spec, **named})


class Story:
    """A workflow, its clock and its summary."""

    def __init__(self, *, check=True, **policy):
        self.workflow = Workflow()
        self.summary = Summary()
        self.now = BEGIN
        self.check = check
        self.policy = Policy(**policy)
        self._names = {}
        self._youngest = {}
        self._unclaimed = []

    # -- what happens --------------------------------------------------------------------------------------------

    def starts(self, name="main", **options):
        """A first leader takes the run up."""
        root = Call(name=name, task=b"task", **options)
        return self.hears(RunStarted(at=self.now, policy=self.policy, root=root))

    def restarts(self, **policy):
        """Another leader takes it up."""
        self.policy = Policy(**policy) if policy else self.policy
        return self.hears(RunStarted(at=self.now, policy=self.policy))

    def submits(self, *names, cores=1.0, memory=0):
        """The batch system accepts attempts."""
        attempts = tuple(
            Submitted(job=one.id, attempt=one.attempt, external_id=f"x{one.id}.{one.attempt}", cores=cores, memory=memory)
            for one in map(self.job, names)
        )
        return self.hears(AttemptsSubmitted(at=self.now, attempts=attempts))

    def begins(self, name, *, attempt=None, host="node1"):
        """A worker begins the attempt."""
        return self.hears(AttemptStarted(host=host, **self._who(name, attempt)))

    def commits(self, name, *calls, returns=(), attempt=None, usage=Usage(), files=(), value=b"value"):
        """The job returns, having made `calls`; its value holds promises of those that `returns` names."""
        names = [spec["name"] for spec in calls]
        refs = tuple(names.index(one) for one in returns)
        return self.hears(
            JobCommitted(
                value=value, refs=refs, calls=calls_of(calls), usage=usage, files=files, **self._who(name, attempt)
            )
        )

    def is_up(self, name, *, attempt=None, files=()):
        """The service has yielded."""
        return self.hears(ServiceUp(value=b"address", files=files, **self._who(name, attempt)))

    def is_down(self, name, *, attempt=None, usage=Usage()):
        """The service has ended."""
        return self.hears(ServiceDown(usage=usage, **self._who(name, attempt)))

    def ends(self, name, outcome="failed", *, attempt=None, error=None, usage=Usage()):
        """The attempt ends without a commit."""
        failure = Failure(error=error) if error else None
        return self.hears(
            AttemptEnded(outcome=Outcome(outcome), failure=failure, usage=usage, **self._who(name, attempt))
        )

    def waits(self, seconds):
        """Time passes, and the leader's alarm rings."""
        self.now += seconds
        return self.hears(DeadlineReached(at=self.now))

    def is_cancelled(self, reason="cancelled"):
        """Somebody gives the run up."""
        return self.hears(CancelRequested(at=self.now, reason=reason))

    def hears(self, event):
        """The event happens."""
        self.and_nothing_else()
        before = self.workflow.graph.next_id
        self.summary.apply(event, self.workflow)
        commands = self.workflow.apply(event)
        for number in range(before, self.workflow.graph.next_id):
            name = self.workflow.graph[number].call.name
            self._names[number], self._youngest[name] = name, number
        if self.check:
            invariants.check(self.workflow)
        self._unclaimed = [self._in_words(one) for one in commands]
        return self

    # -- what follows --------------------------------------------------------------------------------------------

    def then(self, *commands):
        """Exactly this was commanded."""
        told, self._unclaimed = self._unclaimed, []
        assert told == list(commands)
        return self

    def and_nothing_else(self):
        """Whatever was commanded has been claimed."""
        assert self._unclaimed == [], "commanded, and not expected"

    def job(self, name):
        """The youngest job of this name."""
        return self.workflow.graph[self._youngest[name]]

    def state(self, name):
        """Where it stands."""
        return self.job(name).state.value

    def states(self):
        """Where each job stands."""
        return {one.call.name: one.state.value for one in self.workflow.graph.jobs.values()}

    def explains(self, name, after=0.0):
        """Why the job is not running, so many seconds later."""
        return explain(self.workflow, self.job(name), self.now + after)

    # -- behind it -----------------------------------------------------------------------------------------------

    def _who(self, name, attempt):
        one = self.job(name)
        return {"at": self.now, "job": one.id, "attempt": one.attempt if attempt is None else attempt}

    def _in_words(self, command):
        verb = _VERBS[type(command)]
        if isinstance(command, Finish | Fail):
            return verb
        attempt = f", attempt {command.attempt}" if command.attempt > 1 else ""
        return f"{verb} {self._names[command.job]}{attempt}"


def up_and_running(*calls, returns=(), **policy):
    """A story that has come to the point where main has made these calls; what was commanded is claimed."""
    story = Story(**policy)
    story.starts().then("submit main")
    story.commits("main", *calls, returns=returns)
    story._unclaimed = []
    return story


__all__ = ["BEGIN", "JobState", "Story", "calls_of", "job", "service", "up_and_running"]
