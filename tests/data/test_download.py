import threading
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from foveola.data.builtin import download
from foveola.errors import ResourceError

DATA = bytes(range(256)) * 4000
MD5 = md5(DATA).hexdigest()


class Web:
    """A server of one file on this machine. `plan` says what to do with the requests, one by one; then it is honest.

    "cut": half of what is left; "ignore": all, whatever Range asks for; "shift": a range that was not asked for;
    "drop": nothing of it; "hide": no length; "wrong": other bytes; a number: that status.
    """

    def __init__(self):
        self.plan, self.asked, self.labels = [], [], {}
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                web.asked.append(self.headers.get("Range"))
                answer(self, web.plan.pop(0) if web.plan else "", web.labels)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/toy.bin"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def answer(request, move, labels):
    if isinstance(move, int):
        request.send_error(move)
        return
    asked = request.headers.get("Range")
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and move != "ignore" else 0
    status = 206 if start else 200
    body = DATA[start:] if move != "wrong" else bytes(len(DATA) - start)
    if start >= len(DATA):
        status, body = 416, b""
    request.send_response(status)
    if status == 416:
        request.send_header("Content-Range", f"bytes */{len(DATA)}")
    elif start:
        first = start + 1 if move == "shift" else start
        request.send_header("Content-Range", f"bytes {first}-{len(DATA) - 1}/{len(DATA)}")
    if move != "hide":
        request.send_header("Content-Length", str(len(body)))
    for name, value in labels.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body[: {"cut": len(body) // 2, "drop": 0}.get(move, len(body))])


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Web()
    yield server
    server.close()


@pytest.fixture
def fetch(web, tmp_path):
    """Download the file; gives its path."""

    def make(told=None, checksum=MD5):
        tick = (lambda *args: told.append(args)) if told is not None else (lambda *args: None)
        return download(web.url, tmp_path / "downloads", "toy.bin", checksum, title="Downloading toys", tick=tick)

    return make


def refusal(fetch, **options):
    with pytest.raises(ResourceError) as caught:
        fetch(**options)
    return str(caught.value)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once(web, fetch, tmp_path):
    path = fetch()
    assert path == tmp_path / "downloads" / "toy.bin"
    assert path.read_bytes() == DATA
    assert fetch() == path and web.asked == [None]
    assert files(path.parent) == ["toy.bin"]


def test_progress_is_in_bytes(fetch):
    told = []
    fetch(told)
    assert told[0] == ("Downloading toys", 0, len(DATA))
    assert told[-1] == ("Downloading toys", len(DATA), len(DATA))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_cut_download_is_continued_in_the_same_call(web, fetch):
    web.plan = ["cut", "cut"]
    assert fetch().read_bytes() == DATA
    assert web.asked == [None, "bytes=512000-", "bytes=768000-"]


def test_a_cut_download_is_continued_in_the_next_call(web, fetch, tmp_path):
    web.plan = ["cut", 503]
    refusal(fetch)
    assert files(tmp_path / "downloads") == ["toy.bin.part"]
    told = []
    assert fetch(told).read_bytes() == DATA
    assert web.asked == [None, "bytes=512000-", "bytes=512000-"]
    assert told[0] == ("Downloading toys", 512_000, len(DATA))
    assert files(tmp_path / "downloads") == ["toy.bin"]


def test_a_server_that_ignores_range_makes_it_start_again(web, fetch):
    web.plan = ["cut", "ignore"]
    told = []
    assert fetch(told).read_bytes() == DATA
    assert web.asked == [None, "bytes=512000-"]
    assert ("Downloading toys", 0, len(DATA)) in told[2:]


def test_a_server_that_sends_another_range_makes_it_start_again(web, fetch):
    web.plan = ["cut", "shift"]
    assert fetch().read_bytes() == DATA
    assert web.asked == [None, "bytes=512000-", None]


def test_a_part_file_that_is_whole_is_taken(web, fetch, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "toy.bin.part").write_bytes(DATA)
    assert fetch().read_bytes() == DATA
    assert web.asked == ["bytes=1024000-"]


def test_a_part_file_that_is_too_long_is_given_up(web, fetch, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "toy.bin.part").write_bytes(DATA + b"x")
    assert fetch().read_bytes() == DATA
    assert web.asked == ["bytes=1024001-", None]


def test_a_server_that_cuts_again_and_again_is_given_up(web, fetch, tmp_path):
    web.plan = ["cut"] * 9
    assert refusal(fetch) == (
        f"can't download {web.url}: the connection broke: try again later, or put the file toy.bin (md5 {MD5}) into "
        f"{tmp_path / 'downloads'} by hand"
    )
    assert len(web.asked) == 5
    assert (tmp_path / "downloads" / "toy.bin.part").read_bytes() == DATA[:992_000]


def test_a_server_that_brings_nothing_new_is_given_up_at_once(web, fetch):
    web.plan = ["cut", "drop"]
    assert "the connection broke: try again later" in refusal(fetch)
    assert len(web.asked) == 2


def test_a_server_that_fails_is_given_up_at_once(web, fetch):
    web.plan = ["cut", 500]
    assert "the server answered 500 Internal Server Error: try again later" in refusal(fetch)
    assert len(web.asked) == 2


def test_a_wrong_checksum_leaves_nothing(web, fetch, tmp_path):
    web.plan = ["cut", "wrong"]
    assert refusal(fetch) == (
        f"can't download {web.url}: the downloaded file has the wrong checksum and was deleted: try again "
        f"later, or put the file "
        f"toy.bin (md5 {MD5}) into {tmp_path / 'downloads'} by hand"
    )
    assert files(tmp_path / "downloads") == []
    assert fetch().read_bytes() == DATA


def test_a_damaged_file_in_the_cache_is_fetched_again(web, fetch):
    fetch().write_bytes(b"damaged")
    assert fetch().read_bytes() == DATA
    assert web.asked == [None, None]


def test_a_missing_file_on_the_server_is_told(web, fetch, tmp_path):
    web.plan = [404]
    assert refusal(fetch) == (
        f"can't download {web.url}: the server answered 404 Not Found: try again later, or put the file toy.bin "
        f"(md5 {MD5}) into {tmp_path / 'downloads'} by hand"
    )


def test_an_answer_without_a_file_is_refused(web, fetch):
    web.plan = [204]
    assert "the server answered 204 No Content: try again later" in refusal(fetch)


def test_without_a_server_there_is_no_connection(fetch, web, tmp_path):
    web.url = "http://127.0.0.1:9/toy.bin"
    assert refusal(fetch) == (
        f"can't download http://127.0.0.1:9/toy.bin: there is no connection: try again later, or put the file toy.bin "
        f"(md5 {MD5}) into {tmp_path / 'downloads'} by hand"
    )


def test_a_server_that_tells_no_length_is_read_to_its_end(web, fetch):
    web.plan = ["hide"]
    told = []
    assert fetch(told).read_bytes() == DATA
    assert told[-1] == ("Downloading toys", len(DATA), 0)


def test_an_archive_labelled_as_packed_is_kept_as_it_is(web, fetch):
    web.labels = {"Content-Encoding": "gzip"}
    assert fetch().read_bytes() == DATA


def test_a_slow_server_is_told(web, fetch, monkeypatch):
    monkeypatch.setattr("foveola.data.builtin._TIMEOUT_SECONDS", (1.0, 0.05))
    held = threading.Event()
    monkeypatch.setitem(globals(), "answer", lambda *args: held.wait(5))
    text = refusal(fetch)
    held.set()
    assert "the server did not answer in time: try again later" in text


def test_a_folder_that_can_not_be_made_is_told(web, tmp_path):
    (tmp_path / "downloads").write_bytes(b"a file")
    with pytest.raises(ResourceError) as caught:
        download(web.url, tmp_path / "downloads", "toy.bin", MD5, title="Downloading toys")
    assert str(caught.value) == (
        f"can't write {tmp_path / 'downloads' / 'toy.bin'}: file exists: choose another folder"
    )
