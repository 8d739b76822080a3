"""Every error a user of Moil can see.

One root, one sentence each. An error carries data only: it opens nothing, reads nothing and imports nothing of
Moil. The message names the thing, the cause and the cure; the class says whose fault it is and so decides the exit
status (see ``exit_status``): 2 for the command line or the set-up, 1 for a workflow that failed.
"""

from __future__ import annotations


class MoilError(Exception):
    """Something that Moil can explain went wrong."""

    exit_status = 1


class UsageError(MoilError):
    """The command line, a setting or the set-up is wrong; nothing has been run."""

    exit_status = 2


class RequirementError(UsageError):
    """A requirement is malformed, or no machine of the batch system can meet it."""


class PromiseError(MoilError, TypeError):
    """A promise was used as if it were the value that a child job has yet to return."""


class CallError(MoilError):
    """A call of a job cannot be recorded: an argument that cannot be stored, or a wait that could never end."""


class GuardError(MoilError):
    """A script starts a run while a worker is importing it."""


class FileError(MoilError):
    """A file cannot be imported, read, saved or exported."""


class StoreError(MoilError):
    """The job store cannot be read or written."""

    exit_status = 2


class NoSuchKey(StoreError, KeyError):
    """The job store holds no object under this key."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "no such key"


class KeyExists(StoreError):
    """The job store already holds an object under this key."""


class DamagedError(StoreError):
    """Stored bytes are not what was written."""


class FencedError(StoreError):
    """Another leader has taken this run over; this one must stop."""


class DeploymentError(MoilError):
    """The program cannot be brought to a worker, or not be started there."""

    exit_status = 2


class WorkflowFailed(MoilError):
    """At least one job of the workflow failed; `report` holds one block of text for each."""

    def __init__(self, message: str, *, report: str = "") -> None:
        super().__init__(message)
        self.report = report


class Interrupted(MoilError):
    """The run was stopped before its end and can be resumed."""

    exit_status = 130


class ServiceFailed(MoilError):
    """A service did not come up, or went down under its clients."""
