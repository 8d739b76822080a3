"""What the reactor waits for, and how long."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from moil.runtime.reactor import SelectorReactor, SystemClock


class Ends:
    """A socket that the reactor watches, and the other end of it."""

    def __init__(self, reactor: SelectorReactor, heard: list[Ends], patience: Callable[[], float]) -> None:
        self._near, self._far = socket.socketpair()
        self._heard = heard
        reactor.add_reader(self._near.fileno(), self.hear, patience)

    def hear(self) -> None:
        self._near.recv(1)
        self._heard.append(self)

    def say(self) -> None:
        self._far.send(b".")

    def close(self) -> None:
        self._near.close()
        self._far.close()


class Ear:
    """A reactor, and what it has heard."""

    def __init__(self) -> None:
        self.reactor = SelectorReactor(SystemClock())
        self.heard: list[Ends] = []
        self._all: list[Ends] = []

    def ends(self, patience: Callable[[], float]) -> Ends:
        self._all.append(Ends(self.reactor, self.heard, patience))
        return self._all[-1]

    def listen(self) -> list[Ends]:
        self.reactor.wait(time.time() + 10)
        return self.heard

    def close(self) -> None:
        self.reactor.close()
        for one in self._all:
            one.close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.close()


def test_what_can_wait_is_heard_with_what_comes_meanwhile(ear):
    def meanwhile() -> float:
        second.say()
        return 0.001

    first, second = ear.ends(meanwhile), ear.ends(lambda: 0.001)
    first.say()
    assert set(ear.listen()) == {first, second}


def test_what_cannot_wait_is_heard_at_once_and_so_is_all_else(ear):
    patient, hasty = ear.ends(lambda: 1000.0), ear.ends(lambda: 0.0)
    patient.say()
    hasty.say()
    assert set(ear.listen()) == {patient, hasty}


def test_waking_is_no_matter_of_patience(ear):
    patient = ear.ends(lambda: 1000.0)
    patient.say()
    ear.reactor.wake()
    assert ear.listen() == [patient]
