"""List a folder tree: every file is a candidate image, ignored, or a problem with its reason.

Nothing is opened here, so a pipe or a device named x.jpg can't block foveola. 60,000 files take 0.3 to 0.5 s.

Symbolic links are followed, wherever they lead, as other tools do. Each real folder is read once: first those that lie in
the data folder itself, then those that links lead to, in the order of the links' names; so no link leads in circles.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Problem
from foveola.errors import DataError
from foveola.text import joined

IGNORED_NAMES = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "*~", "*.tmp", "*.part", "*.csv.xls")
_USUAL = (".jpg", ".jpeg", ".JPG", ".JPEG", ".png", ".PNG")
"""An ordinary file with one of these suffixes is kept without another look: a third of a listing's time."""
IGNORED_FOLDERS = ("__macosx", "__pycache__", "$recycle.bin", "system volume information", "lost+found", "@eadir")
_IMAGE_SUFFIXES = frozenset((
    "jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "gif", "bmp", "dib", "tif", "tiff", "webp", "ppm", "pgm", "pbm",
    "pnm", "avif", "heic", "heif",
))  # fmt: skip
_SIDE_SUFFIXES = frozenset((
    "csv", "tsv", "txt", "md", "rst", "json", "jsonl", "ndjson", "xml", "yaml", "yml", "toml", "ini", "cfg", "log", "html",
    "htm", "mat", "xls", "xlsx", "ods", "doc", "docx", "py", "ipynb", "m", "sh", "bat", "aae", "xmp", "names", "pts",
))  # fmt: skip
"""Text, tables and notes: never images, and usually about them."""


@dataclass(frozen=True)
class FolderScan:
    """The candidates below `root`: ids are relative POSIX paths, sorted; stamps is int64 (n, 3): bytes, mtime, ctime (ns).

    `folders` are the folders that are not ignored, relative, sorted, the root itself left out. `sides` are the side files:
    notes, tables and annotations, and other files named like an image next to them ("7.xml", "7.png.json" and "7.mov" next
    to "7.png"). They are ignored, too, and counted in `ignored`.
    """

    root: Path
    ids: tuple[str, ...]
    stamps: NDArray[np.int64]
    folders: tuple[str, ...]
    problems: tuple[Problem, ...]
    ignored: int
    sides: tuple[str, ...] = ()

    @property
    def found(self) -> int:
        return len(self.ids) + len(self.problems) + self.ignored

    def sides_in_words(self) -> str:
        """The side files by their suffixes: "556 .xml and 2 .txt files"; "" if there are none."""
        kinds = Counter(f".{name.rpartition('.')[2].lower()}" for name in self.sides).most_common()
        shown = [f"{n:,} {kind}" for kind, n in kinds[:4]]
        if len(kinds) > 4:
            shown.append(f"{sum(n for _, n in kinds[4:]):,} other")
        return f"{joined(shown)} file{'s' * (len(self.sides) > 1)}" if shown else ""


def require_folder(root: Path) -> None:
    """Refuse a path that does not exist, is not a folder or can't be accessed. Raises DataError."""
    with _refusals_named(root):
        if not root.exists():
            raise DataError(f"the folder {root} does not exist: check the path")
        if not root.is_dir():
            raise DataError(f"{root} is not a folder: name the folder that contains the class folders")


@contextlib.contextmanager
def _refusals_named(root: Path) -> Iterator[None]:
    """Turn the system's refusals into a DataError that names the folder."""
    try:
        yield
    except PermissionError:
        raise DataError(f"no permission to read the folder {root}: change its permissions, or copy it") from None
    except OSError as error:
        raise DataError(f"the folder {root} can't be read: {(error.strerror or str(error)).lower()}") from None


def scan_folder(root: Path) -> FolderScan:
    """List a folder. Raises DataError when it is missing, is not a folder or can't be read."""
    require_folder(root)
    with _refusals_named(root):
        walk = _Walk(root)
        walk.visit_all(str(root))
    sides = {*walk.sides, *_sidecars(walk.ids)}
    order = sorted((i for i in range(len(walk.ids)) if walk.ids[i] not in sides), key=walk.ids.__getitem__)
    stamps = np.array(walk.stamps, np.int64).reshape(-1, 3)[order]
    ids = tuple(walk.ids[i] for i in order)
    problems = tuple(sorted(walk.problems, key=lambda problem: problem.file))
    ignored = walk.ignored + len(sides)
    return FolderScan(root, ids, stamps, tuple(sorted(walk.folders)), problems, ignored, tuple(sorted(sides)))


def is_ignored(name: str, *, folder: bool) -> bool:
    """Whether a file or folder is the system's, not the user's: hidden ones, Thumbs.db, __MACOSX and the like."""
    lower = name.lower()
    if name.startswith("."):
        return True
    return lower in IGNORED_FOLDERS if folder else any(fnmatch.fnmatchcase(lower, p) for p in IGNORED_NAMES)


def looks_like_image(name: str) -> bool:
    """Whether a file's suffix is that of an image that can be read."""
    return _suffix(name) in _IMAGE_SUFFIXES


def is_side_file(name: str) -> bool:
    """Whether a file's suffix is that of text, a table or notes, which are never images."""
    return _suffix(name) in _SIDE_SUFFIXES


class _Walk:
    """The walk's growing lists; one object for one listing."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.ids: list[str] = []
        self.stamps: list[tuple[int, int, int]] = []
        self.folders: list[str] = []
        self.problems: list[Problem] = []
        self.sides: list[str] = []
        self.ignored = 0
        self._waiting: list[tuple[str, str]] = []
        self._links: list[tuple[str, str]] = []
        self._read: dict[str, str] = {}
        """The real folders that were read, or are going to be, and by which name."""

    def visit_all(self, root: str) -> None:
        """Visit the root and all folders below it. An unreadable root is an error, an unreadable folder a problem."""
        self._read[self.root] = "the data folder"
        self._visit(root, "")
        self._visit_waiting(linked=False)
        while self._links:
            links, self._links = sorted(self._links, key=lambda link: link[1]), []
            for path, name in links:
                self._enter(path, name, os.path.realpath(path))
                self._visit_waiting(linked=True)

    def _visit_waiting(self, *, linked: bool) -> None:
        while self._waiting:
            path, name = self._waiting.pop()
            real = os.path.realpath(path) if linked else f"{self.root}/{name}"
            if linked and self._read.get(real, name) != name:
                self._skip(name, real)
                continue
            self._read[real] = name
            try:
                self._visit(path, f"{name}/")
            except OSError as error:
                self.problems.append(Problem(name, _refusal(error, "this folder")))

    def _enter(self, path: str, name: str, real: str) -> None:
        """Follow a link to a folder, unless it leads back."""
        if real in self._read:
            self._skip(name, real)
        elif self.root.startswith(real.rstrip("/") + "/"):
            self.problems.append(Problem(name, "a link to a folder that contains the data folder: not followed"))
        else:
            self.folders.append(name)
            self._waiting.append((path, name))

    def _skip(self, name: str, real: str) -> None:
        known = self._read[real]
        self.problems.append(Problem(name, f"leads to {known}, which foveola has already read: its images count once"))

    def _visit(self, folder: str, relative: str) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = f"{relative}{entry.name}"
                try:
                    if name.endswith(_USUAL) and entry.name[0] != "." and entry.is_file(follow_symlinks=False):
                        self._keep(name, entry.stat(follow_symlinks=False))
                    else:
                        self._entry(entry, name)
                except OSError as error:
                    self.problems.append(Problem(name, _refusal(error, "it")))

    def _entry(self, entry: os.DirEntry[str], name: str) -> None:
        if entry.is_symlink() or _is_junction(entry):
            self._link(entry, name)
        elif entry.is_dir(follow_symlinks=False):
            self._folder(entry, name)
        else:
            self._file(entry, name, entry.stat(follow_symlinks=False))

    def _folder(self, entry: os.DirEntry[str], name: str) -> None:
        if is_ignored(entry.name, folder=True):
            self.ignored += _files_below(entry.path)
            return
        self.folders.append(name)
        self._waiting.append((entry.path, name))

    def _file(self, entry: os.DirEntry[str], name: str, status: os.stat_result) -> None:
        if is_ignored(entry.name, folder=False):
            self.ignored += 1
        elif not stat.S_ISREG(status.st_mode):
            self.problems.append(Problem(name, "not an ordinary file (a pipe, socket or device)"))
        elif is_side_file(name):
            self.sides.append(name)
        else:
            self._keep(name, status)

    def _keep(self, name: str, status: os.stat_result) -> None:
        self.ids.append(name)
        self.stamps.append((status.st_size, status.st_mtime_ns, status.st_ctime_ns))

    def _link(self, entry: os.DirEntry[str], name: str) -> None:
        if is_ignored(entry.name, folder=False):
            self.ignored += 1
            return
        try:
            status = entry.stat()
        except (FileNotFoundError, NotADirectoryError):
            status = None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            status = None
        if status is None:
            self.problems.append(Problem(name, "a symbolic link to a file that does not exist"))
            if not _suffix(name):  # a class folder, as likely as not: it must not vanish as one file
                self.folders.append(name)
        elif not stat.S_ISDIR(status.st_mode):
            self._file(entry, name, status)
        elif is_ignored(entry.name, folder=True):
            self.ignored += 1
        else:
            self._links.append((entry.path, name))


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a junction, Windows' other link to a folder (known to Python from 3.12 on)."""
    ask = getattr(entry, "is_junction", None)
    return ask is not None and bool(ask())


def _suffix(name: str) -> str:
    """A file's suffix in lower case, without the dot; "" where there is none.

    >>> _suffix("a.b/c.JPG"), _suffix("a.b/c")
    ('jpg', '')
    """
    stem, dot, suffix = name[name.rfind("/") + 1 :].rpartition(".")
    return suffix.lower() if dot and stem else ""


def _sidecars(ids: list[str]) -> set[str]:
    """Files that are named like an image next to them and have no suffix of an image: "7.mov" or "7.png.bak" to "7.png"."""
    odd = [name for name in ids if not name.endswith(_USUAL) and not looks_like_image(name)]
    odd = [name for name in odd if _suffix(name).strip("0123456789")]
    if not odd:
        return set()
    images = [name for name in ids if looks_like_image(name)]
    known = {*images, *(name.rpartition(".")[0] for name in images)}
    return {name for name in odd if name.rpartition(".")[0] in known}


def _files_below(path: str) -> int:
    """All that is no ordinary folder; os.walk counts links to folders among the folders, without following them."""
    return sum(
        len(files) + sum(Path(folder, name).is_symlink() for name in folders)
        for folder, folders, files in os.walk(path)
    )


def _refusal(error: OSError, what: str) -> str:
    if isinstance(error, PermissionError):
        return f"no permission to read {what}"
    if isinstance(error, FileNotFoundError):
        return "it was deleted while the folder was being read"
    return f"can't be read: {(error.strerror or str(error)).lower()}"
