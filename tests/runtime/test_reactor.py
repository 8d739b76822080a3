"""What the reactor waits for, and how long."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from moil.runtime.reactor import SelectorReactor, SystemClock


class Pipe:
    def __init__(self, reactor: SelectorReactor, heard: list[Pipe], patience: float) -> None:
        self.reading, self.writing = os.pipe()
        self._heard = heard
        reactor.add_reader(self.reading, self.hear, lambda: patience)

    def hear(self) -> None:
        os.read(self.reading, 1)
        self._heard.append(self)

    def say(self) -> None:
        os.write(self.writing, b".")


@pytest.fixture
def reactor() -> Iterator[SelectorReactor]:
    made = SelectorReactor(SystemClock())
    yield made
    made.close()


def test_what_can_wait_is_heard_with_what_comes_meanwhile(reactor):
    heard: list[Pipe] = []
    first, second = Pipe(reactor, heard, 0.5), Pipe(reactor, heard, 0.5)
    first.say()
    later = threading.Timer(0.02, second.say)
    later.start()
    reactor.wait(time.time() + 10)
    later.join()
    assert set(heard) == {first, second}


def test_what_cannot_wait_is_heard_at_once_and_so_is_all_else(reactor):
    heard: list[Pipe] = []
    patient, hasty = Pipe(reactor, heard, 1000.0), Pipe(reactor, heard, 0.0)
    patient.say()
    hasty.say()
    reactor.wait(time.time() + 10)
    assert set(heard) == {patient, hasty}


def test_waking_is_no_matter_of_patience(reactor):
    heard: list[Pipe] = []
    Pipe(reactor, heard, 1000.0).say()
    reactor.wake()
    reactor.wait(time.time() + 10)
    assert len(heard) == 1
