"""Built-in data sets: scikit-learn's digits, and CIFAR-10, which is downloaded once, with resume and checksum.

An incomplete download is kept next to the final file as NAME.part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from foveola.data.arrays import from_arrays
from foveola.data.cifar10 import cifar10_place, open_cifar10
from foveola.data.dataset import Dataset
from foveola.errors import ResourceError
from foveola.imaging import decode as images
from foveola.registry import Registry
from foveola.storage import cache_root, disk_errors_as_resource_error, new_folder
from foveola.types import Tick, no_tick

if TYPE_CHECKING:
    import requests

Opener: TypeAlias = Callable[[Tick], Dataset]
"""Opens a data set by its name alone; the tick is called while it is fetched or read."""


def open_digits() -> Dataset:
    """The 1,797 hand-written digits of scikit-learn, 8x8 pixels, white on black, in classes "0" to "9".

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test set). Values v of 0..16
    become round(v * 255 / 16), so 0 -> 0, 8 -> 128, 16 -> 255; grey is repeated to three channels.

    >>> digits = open_digits()
    >>> len(digits), digits.labels[:4].tolist(), digits.read(0).shape
    (1797, [0, 1, 2, 3], (8, 8, 3))
    """
    from sklearn.datasets import load_digits  # 1.5 s to import

    bunch = load_digits()
    pixels = np.rint(bunch.images * 255 / 16).astype(np.uint8)
    return replace(from_arrays(pixels, bunch.target, name="digits"), mirror_safe=False)


def write_digits(folder: Path) -> Path:
    """Write the digits as an ordinary image folder, `folder`/0/0000.png and so on, and return it.

    The files are the same bytes each time (with the same Pillow), numbered within their class in scikit-learn's order.
    Raises UsageError when the folder holds something already, ResourceError when the disk refuses.
    """
    digits = open_digits()
    new_folder(folder)
    for k, name in enumerate(digits.class_names):
        place = folder / name
        with disk_errors_as_resource_error(place, 0):
            place.mkdir()
        for number, i in enumerate(np.flatnonzero(digits.labels == k)):
            data = images.encode(digits.read(int(i)))
            file = place / f"{number:04d}.png"
            with disk_errors_as_resource_error(file, len(data)):
                file.write_bytes(data)
    return folder


CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"


def _cifar10(tick: Tick = no_tick) -> Dataset:
    """60,000 colour images of 32x32 in 10 classes; 170 MB, downloaded once."""
    folder = cache_root() / "downloads"
    if not cifar10_place(folder):
        download(
            CIFAR10_URL, folder, CIFAR10_URL.rpartition("/")[2], CIFAR10_MD5, title="Downloading CIFAR-10", tick=tick
        )
    return open_cifar10(folder, tick=tick)


def _digits(tick: Tick = no_tick) -> Dataset:
    """1,797 hand-written digits of 8x8 in 10 classes; they come with scikit-learn."""
    return open_digits()


DATASETS: Registry[Opener] = Registry("data set", {"cifar10": _cifar10, "digits": _digits})
"""The data sets that a recipe may name instead of a path."""


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
