"""What slots have told a leader that was killed."""

import os

import pytest

from moil.runtime import messages, outbox
from moil.runtime.messages import Message
from moil.runtime.outbox import Outbox, Voice


def packet(token, body=b"outcome", kind=messages.DONE):
    return Message(kind, token, body).packet()


@pytest.fixture
def box(tmp_path):
    return Outbox(tmp_path)


def test_outcomes_are_found_by_their_attempts(box, tmp_path):
    for token, kind in (("1.1", messages.DONE), ("2.1", messages.RETURNED), ("3.1", messages.UP), ("4.1", messages.ENDED)):
        box.keep(packet(token, kind=kind))
    found = outbox.read(tmp_path)
    assert set(found) == {"1.1", "2.1"}
    assert messages.read(found["1.1"]) == Message(messages.DONE, "1.1", b"outcome")


def test_there_is_nothing_where_nobody_was(tmp_path):
    assert outbox.read(tmp_path) == {}


def test_the_last_are_kept_and_the_files_stay_small(box, tmp_path):
    body = bytes(1000)
    for number in range(5000):
        box.turn()
        box.keep(packet(f"{number}.1", body))
    found = outbox.read(tmp_path)
    assert {f"{number}.1" for number in range(4000, 5000)} <= set(found)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * (outbox.LARGEST + 2000)


def test_a_process_that_follows_another_goes_on_where_that_was(box, tmp_path):
    def fill(one, first, count):
        for number in range(first, first + count):
            one.turn()
            one.keep(packet(f"{number}.1", bytes(10_000)))

    fill(box, 0, 120)  # one file is full, and the other is not
    fill(Outbox(tmp_path), 1000, 1)
    assert {*(f"{number}.1" for number in range(120)), "1000.1"} <= set(outbox.read(tmp_path))


def test_what_is_cut_off_is_not_believed(box, tmp_path):
    for number in range(3):
        box.keep(packet(f"{number}.1"))
    (path,) = [one for one in tmp_path.iterdir() if one.stat().st_size]
    os.truncate(path, path.stat().st_size - 1)
    assert set(outbox.read(tmp_path)) == {"0.1", "1.1"}


def test_what_there_is_no_room_for_leaves_no_trace(box, tmp_path, monkeypatch):
    write, left = os.write, [100]

    def full(file, data):
        if len(data) > left[0]:
            return write(file, data[: left[0]])
        left[0] -= len(data)
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    box.keep(packet("1.1"))
    box.keep(packet("2.1", bytes(100)))
    monkeypatch.undo()
    box.keep(packet("3.1"))
    assert set(outbox.read(tmp_path)) == {"1.1", "3.1"}


def test_a_disk_that_fails_fails_no_job(box, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    said = []

    class Channel:
        def sendall(self, data):
            said.append(data)

    monkeypatch.setattr(os, "write", full)
    Voice(Channel(), box).sendall(packet("1.1"))
    assert said == [packet("1.1")]


def test_it_can_be_removed(box, tmp_path):
    box.keep(packet("1.1"))
    box.remove()
    assert list(tmp_path.iterdir()) == []
