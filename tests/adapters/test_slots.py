"""What a slot was sent ahead and is taken back, while the other end goes on taking."""

import pytest

from moil.adapters.slots import Slot
from moil.core.requirements import Requirements
from moil.ports.batch_system import Submission
from moil.runtime import messages
from moil.runtime.messages import Message

NAMES = ["one", "two", "three", "four", "five"]


class TakenFrom:
    """The far end of a queue, from which a worker takes one packet between the first that is taken back and the next."""

    def __init__(self, queue):
        self._queue, self._received = queue, 0
        self.taken = []

    def recv(self, size, flags):
        self._received += 1
        if self._received == 2:
            self.taken.append(messages.read(self._queue.recv(messages.PACKET)).token)
        return self._queue.recv(size, flags)

    def close(self):
        self._queue.close()


@pytest.fixture
def slot():
    slot = Slot(0, quickest=0.001)
    yield slot
    slot.hang_up()
    slot.close()
    slot.far_channel.close()


def send(slot, folder, body=b""):
    for name in NAMES:
        submission = Submission(token=name, name=name, requirements=Requirements())
        assert slot.give(submission, Message(messages.TASK, name, body), f"{folder}/{name}")


def test_what_the_other_end_takes_meanwhile_stays_its_own(slot, tmp_path):
    send(slot, tmp_path)
    assert messages.read(slot.far_queue.recv(messages.PACKET)).token == "one"
    slot.far_queue = TakenFrom(slot.far_queue)
    assert [one.token for one in slot.take_back()] == ["two", "four", "five"]
    assert slot.far_queue.taken == ["three"]
    assert [one.token for one in slot.outstanding] == ["one", "three"]


def test_a_long_body_of_what_is_taken_back_goes(slot, tmp_path):
    send(slot, tmp_path, body=bytes(messages.LARGEST + 1))
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(NAMES)
    assert [one.token for one in slot.take_back()] == NAMES
    assert not list(tmp_path.iterdir())
    assert slot.take_back() == []
