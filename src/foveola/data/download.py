"""Download a file with resume and checksum. An incomplete file is kept next to the final one as NAME.part."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from foveola.errors import ResourceError
from foveola.storage import disk_errors_as_resource_error
from foveola.types import Tick, no_tick

if TYPE_CHECKING:
    import requests

# requests is imported inside the functions: it costs 0.13 s (python -X importtime, 2 cores, Python 3.11), and a user who has
# the file already does not need it.

_CHUNK_BYTES = 1 << 18
_TIMEOUT_SECONDS = (10.0, 60.0)
"""To connect, and between two chunks."""
_TRIES = 5
"""In one call, and only as long as each try brings something."""


def download(url: str, folder: Path, name: str, md5: str, *, title: str, tick: Tick = no_tick) -> Path:
    """The path of `folder`/`name`, whose MD5 is `md5`, fetched from `url` if it is not there yet.

    `tick(title, bytes done, bytes in all)` is called as it goes; bytes in all is 0 when the server does not tell. A cut
    download is continued, now and in the next call. Raises ResourceError, saying which file to put where by hand, when
    the network, the server or the checksum refuses.
    """
    target, part = folder / name, folder / f"{name}.part"
    with disk_errors_as_resource_error(target, 0):
        if _has_md5(target, md5):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        reason = _fetch(url, part, title, tick)
        if not reason and _has_md5(part, md5):
            part.replace(target)
            return target
        if not reason:
            part.unlink()
            reason = "the downloaded file has the wrong checksum and was deleted"
    raise ResourceError(
        f"can't download {url}: {reason}: try again later, or put the file {name} (md5 {md5}) into {folder} by hand"
    )


def _has_md5(path: Path, md5: str) -> bool:
    """Whether there is such a file with this MD5. MD5 detects damage, not forgery."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5


def _fetch(url: str, part: Path, title: str, tick: Tick) -> str:
    """Fetch the file into `part`; "" if that worked, else the reason why not."""
    import requests
    import urllib3

    try:
        _bring(url, part, title, tick)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        return _in_words(error)
    return ""


def _bring(url: str, part: Path, title: str, tick: Tick) -> None:
    """Fetch into `part` until it is whole; cut off, try again as long as something comes."""
    import requests
    import urllib3

    for left in reversed(range(_TRIES)):
        before = _held(part)
        try:
            return _continue(url, part, title, tick)
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError):
            if left == 0 or _held(part) <= before:
                raise


def _continue(url: str, part: Path, title: str, tick: Tick) -> None:
    """One request for the bytes that are missing; a .part file that the server can't continue is given up."""
    import requests

    held = _held(part)
    # A server that packs the archive once more for the way would shift all positions: ask for the bytes as they are.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as answer:
        status, found = answer.status_code, answer.headers.get("Content-Range", "")
        if held and status == 416 and found == f"bytes */{held}":
            return  # nothing was missing
        continues = bool(held) and status == 206 and found.startswith(f"bytes {held}-")
        if held and status in (206, 416) and not continues:
            part.unlink()  # it is longer than the file, or the server mistook the range
            return _continue(url, part, title, tick)
        answer.raise_for_status()
        if status != 200 and not continues:
            raise requests.HTTPError(response=answer)
        _save(answer, part, held if continues else 0, title, tick)  # 200: it ignores Range and sends all of it again


def _save(answer: requests.Response, part: Path, start: int, title: str, tick: Tick) -> None:
    length = answer.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else 0
    done = start
    answer.raw.enforce_content_length = True  # a cut is an error; urllib3 before 2.0 would take it for the end
    with part.open("ab" if start else "wb") as file:
        tick(title, done, total)
        # raw, because iter_content unpacks a .tar.gz that a server labels "Content-Encoding: gzip"
        for chunk in answer.raw.stream(_CHUNK_BYTES, decode_content=False):
            file.write(chunk)
            done += len(chunk)
            tick(title, done, total)


def _held(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _in_words(error: Exception) -> str:
    """Describe a download error, without the class names of the network libraries."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate can't be verified"
    return "there is no connection" if isinstance(error, requests.ConnectionError) else "the connection broke"
