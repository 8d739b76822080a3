"""Notes in a user's cache: whole or none, and not without end."""

import os

import pytest

from moil.deployment import notes


def test_a_note_is_read_as_it_was_written(tmp_path):
    notes.write(tmp_path / "a" / "note", b"what was found")
    assert notes.read(tmp_path / "a" / "note") == b"what was found"
    assert notes.read(tmp_path / "a" / "another") is None
    assert [one.name for one in (tmp_path / "a").iterdir()] == ["note"]


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data + b" ", lambda data: data[:10], lambda data: b""])
def test_a_damaged_note_is_none(tmp_path, spoil):
    note = tmp_path / "note"
    notes.write(note, b"what was found")
    note.write_bytes(spoil(note.read_bytes()))
    assert notes.read(note) is None


def test_one_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "a").write_text("a file")
    notes.write(tmp_path / "a" / "note", b"what was found", most=3)
    assert notes.read(tmp_path / "a" / "note") is None


def test_the_oldest_go(tmp_path):
    for number in range(5):
        notes.write(tmp_path / f"{number}", b"", most=3)
        os.utime(tmp_path / f"{number}", (number, number))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["2", "3", "4"]


def test_whoever_gives_no_bound_keeps_all(tmp_path):
    for number in range(5):
        notes.write(tmp_path / f"{number}", b"")
    assert len(list(tmp_path.iterdir())) == 5
