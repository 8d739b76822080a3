"""Directories that are no longer needed."""

import os

from moil.authoring.plain import discard


def test_all_that_is_in_it_goes_and_nothing_else(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "precious").touch()
    (tmp_path / "gone" / "a" / "b").mkdir(parents=True)
    (tmp_path / "gone" / "a" / "b" / "file").touch()
    (tmp_path / "gone" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "gone" / "a" / "nowhere").symlink_to("none")
    os.mkfifo(tmp_path / "gone" / "pipe")
    discard(tmp_path / "gone")
    assert os.listdir(tmp_path) == ["kept"] and os.listdir(tmp_path / "kept") == ["precious"]


def test_what_is_no_directory_stays(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "precious").touch()
    (tmp_path / "link").symlink_to("kept")
    (tmp_path / "file").touch()
    for name in ("link", "file", "none"):
        discard(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "kept", "link"] and os.listdir(tmp_path / "kept") == ["precious"]


def test_what_can_be_removed_is_removed(tmp_path, monkeypatch):
    """Also if something in it cannot be."""
    for name in "abc":
        (tmp_path / "gone" / name).mkdir(parents=True)
        (tmp_path / "gone" / name / "file").touch()
    unlink = os.unlink

    def refuse(path, **more):
        if "b/file" in os.fspath(path) or os.fspath(path) == "file" and os.readlink(f"/proc/self/fd/{more['dir_fd']}").endswith("/b"):
            raise PermissionError(1, "no")
        unlink(path, **more)

    monkeypatch.setattr(os, "unlink", refuse)
    discard(tmp_path / "gone")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("file")] == ["gone/b/file"]
