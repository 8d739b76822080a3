"""Files as values, at home: immutable, exported whole, imported from and exported to URLs."""

import http.server
import os
import pickle
import threading

import pytest

from moil import File
from moil.authoring import urls
from moil.errors import FileError


class Handler(http.server.BaseHTTPRequestHandler):
    kept: dict[str, bytes] = {}

    def do_GET(self):
        data = self.kept.get(self.path)
        self.send_response(404 if data is None else 200)
        promised = len(data or b"") + (5 if "cut" in self.path else 0)
        if "unmeasured" not in self.path:
            self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(data or b"")

    def do_PUT(self):
        if self.path.startswith("/closed"):
            self.send_error(403)
            return
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Handler.kept = {"/data/a%20file.txt": b"from afar"}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{found.server_address[1]}"
        found.shutdown()


def test_a_file_is_a_path(tmp_path):
    (tmp_path / "x.txt").write_text("some")
    file = File(tmp_path / "x.txt")
    assert (file.name, file.size, file.path().read_text(), os.fspath(file)) == ("x.txt", 4, "some", str(tmp_path / "x.txt"))
    with file.open("r") as text, file.open() as data:
        assert (text.read(), data.read()) == ("some", b"some")
    assert not file.is_directory
    assert repr(file) == f"File('{tmp_path}/x.txt')"


def test_a_directory_is_a_file_too(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "x").write_text("12345")
    directory = File(tmp_path / "d")
    assert directory.is_directory
    assert directory.size == 5
    directory.export(tmp_path / "copy")
    directory.export(tmp_path / "copy")
    assert (tmp_path / "copy" / "e" / "x").read_text() == "12345"


def test_it_is_immutable(tmp_path):
    file = File(tmp_path / "x")
    with pytest.raises(AttributeError, match="immutable"):
        file.name = "y"
    with pytest.raises(ValueError, match="immutable"):
        file.open("w")


def test_equal_means_the_same_name_and_content():
    one, two = File.stored("a", "0" * 64, 3), File.stored("a", "0" * 64, 3)
    assert one == two
    assert hash(one) == hash(two)
    assert one != File.stored("b", "0" * 64, 3)
    assert one != "a"


def test_an_export_replaces_whole_and_keeps_the_execute_bit(tmp_path):
    source = tmp_path / "run.sh"
    source.write_text("#!/bin/sh\n")
    source.chmod(0o755)
    (tmp_path / "there").write_text("old")
    File(source).export(tmp_path / "there")
    assert (tmp_path / "there").read_text() == "#!/bin/sh\n"
    assert os.access(tmp_path / "there", os.X_OK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.sh", "there"]


def test_an_export_that_cannot_be_is_told(tmp_path):
    (tmp_path / "x").write_text("x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="cannot export x"):
        File(tmp_path / "x").export(tmp_path / "file" / "below")


def test_a_file_that_is_not_here_says_so(tmp_path):
    with pytest.raises(FileError, match="No such file"):
        File(tmp_path / "none").open()
    with pytest.raises(FileError, match="No such file"):
        assert File(tmp_path / "none").size
    with pytest.raises(FileError, match="job store"):
        File.stored("a", "0" * 64, 3).path()


def test_it_comes_from_a_url(server):
    file = File.from_url(f"{server}/data/a%20file.txt")
    assert (file.name, file.path().read_text()) == ("a file.txt", "from afar")


def test_it_goes_to_a_url(server, tmp_path):
    (tmp_path / "x").write_text("to afar")
    File(tmp_path / "x").export(f"{server}/up/x")
    assert Handler.kept["/up/x"] == b"to afar"


def test_a_url_that_has_nothing_is_told(server):
    with pytest.raises(FileError, match="cannot import .*/none: Not Found"):
        File.from_url(f"{server}/none")


def test_a_directory_cannot_go_to_a_url(server, tmp_path):
    with pytest.raises(FileError, match="it is a directory"):
        File(tmp_path).export(f"{server}/up/x")


def test_file_urls_name_paths(tmp_path):
    (tmp_path / "a b").write_text("here")
    assert File.from_url(f"file://{tmp_path}/a%20b").path().read_text() == "here"
    assert urls.local_path("plain/path") == tmp_path.cwd() / "plain" / "path"
    with pytest.raises(FileError, match="this machine"):
        File.from_url("file://elsewhere/x")


def test_an_unknown_scheme_is_told():
    with pytest.raises(FileError, match="no way to reach gopher: URLs; known are file, http, https"):
        File.from_url("gopher://x/y")


def test_other_schemes_come_in_through_the_door(tmp_path):
    class Shelf:
        def fetch(self, url, to):
            to.write_text(url)

        def send(self, path, url): ...

    urls.register("shelf", Shelf())
    try:
        assert File.from_url("shelf://a/b.txt").path().read_text() == "shelf://a/b.txt"
    finally:
        del urls._transfers["shelf"]


def test_a_download_that_was_cut_off_is_told(server):
    Handler.kept["/cut"] = b"12345"
    with pytest.raises(FileError, match="cannot import .*/cut: 5 of 10 bytes came; try again"):
        File.from_url(f"{server}/cut")


def test_a_download_of_unknown_size_ends_when_it_ends(server):
    Handler.kept["/unmeasured"] = b"12345"
    assert File.from_url(f"{server}/unmeasured").size == 5


def test_a_url_that_takes_nothing_is_told(server, tmp_path):
    (tmp_path / "x").write_text("x")
    with pytest.raises(FileError, match="cannot export x to .*/closed/x: Forbidden"):
        File(tmp_path / "x").export(f"{server}/closed/x")


def test_a_server_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileError, match="cannot import http://127.0.0.1:1/x: .*refused"):
        File.from_url("http://127.0.0.1:1/x")


@pytest.mark.parametrize("path", ["/a b", "/a\nb"])
def test_a_url_that_is_none_is_told(server, path):
    with pytest.raises(FileError, match="cannot import"):
        File.from_url(server + path)


@pytest.mark.parametrize(
    ("url", "name"), [("http://h/a/b.txt", "b.txt"), ("http://h/a%20b?q=1#f", "a b"), ("http://h/d/", "d"), ("http://h", "index")]
)
def test_a_file_is_called_after_the_last_part_of_its_url(url, name):
    assert urls.base_name(url) == name


def test_names_that_look_like_schemes_are_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chr1:100").write_text("x")
    assert File.from_url("chr1:100").path() == tmp_path / "chr1:100"


def test_a_file_may_be_saved_under_another_name(tmp_path):
    (tmp_path / "x").write_text("abc")
    assert File.save(tmp_path / "x", name="y.txt").name == "y.txt"


def test_its_local_copy_then_has_that_name(tmp_path):
    (tmp_path / "x").write_text("abc")
    assert File.save(tmp_path / "x", name="y.txt").path().name == "y.txt"


def test_a_file_at_home_travels_as_its_path(tmp_path):
    file = File(tmp_path / "x")
    assert pickle.loads(pickle.dumps(file)) == file
    assert File(tmp_path / "x") != File(tmp_path / "y")


def test_a_stored_file_travels_as_its_digest():
    file = File.stored("a", "0" * 64, 3)
    there = pickle.loads(pickle.dumps(file))
    assert (there, there.size, repr(there)) == (file, 3, "File('a')")
    assert File.stored("d", f"{'0' * 64}.dir", 3).is_directory


def test_an_export_takes_read_only_copies_and_gives_writable_ones(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("x")
    (tmp_path / "d" / "link").symlink_to("x")
    (tmp_path / "d" / "x").chmod(0o444)
    File(tmp_path / "d").export(tmp_path / "copy")
    assert os.access(tmp_path / "copy" / "x", os.W_OK)
    assert os.readlink(tmp_path / "copy" / "link") == "x"


def test_an_export_may_make_directories(tmp_path):
    (tmp_path / "x").write_text("x")
    File(tmp_path / "x").export(tmp_path / "a" / "b" / "x")
    assert (tmp_path / "a" / "b" / "x").read_text() == "x"


def test_a_failed_export_leaves_nothing_behind(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("x")
    (tmp_path / "there").write_text("a file, where a directory is to be")
    with pytest.raises(FileError, match="cannot export d"):
        File(tmp_path / "d").export(tmp_path / "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "there"]


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "x").write_text("abc")
    with pytest.raises(FileError, match="cannot be called"):
        File.save(tmp_path / "x", name=name)
