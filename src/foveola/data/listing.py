"""Walk a folder: every file below it ends as a candidate, as ignored, or as a problem with its reason.

Nothing is opened here, so a pipe or a device named x.jpg can't hang us. 60,000 files take 0.3 to 0.5 s.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Problem
from foveola.errors import DataError

IGNORED_NAMES = ("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "*~", "*.tmp", "*.part", "*.csv.xls")
_USUAL = (".jpg", ".jpeg", ".JPG", ".JPEG", ".png", ".PNG")
"""An ordinary file with one of these suffixes is kept without another look: a third of a listing's time."""
IGNORED_FOLDERS = ("__macosx", "__pycache__", "$recycle.bin", "system volume information", "lost+found", "@eadir")


@dataclass(frozen=True)
class Listing:
    """The candidates below `root`: ids are relative POSIX paths, sorted; stamps is int64 (n, 3): bytes, mtime, ctime (ns).

    `folders` are the folders that are not ignored, relative, sorted, the root itself left out.
    """

    root: Path
    ids: tuple[str, ...]
    stamps: NDArray[np.int64]
    folders: tuple[str, ...]
    problems: tuple[Problem, ...]
    ignored: int

    @property
    def found(self) -> int:
        return len(self.ids) + len(self.problems) + self.ignored


def list_folder(root: Path) -> Listing:
    """List a folder. Raises DataError when it is missing, is not a folder or can't be read."""
    try:
        if not root.exists():
            raise DataError(f"there is no folder {root}: check the path")
        if not root.is_dir():
            raise DataError(f"{root} is not a folder: name the folder that holds the class folders")
        walk = _Walk(root)
        walk.visit_all(str(root))
    except PermissionError:
        raise DataError(f"no permission to read the folder {root}: change its rights, or copy it") from None
    except OSError as error:
        raise DataError(f"the folder {root} can't be read: {(error.strerror or str(error)).lower()}") from None
    order = sorted(range(len(walk.ids)), key=walk.ids.__getitem__)
    stamps = np.array(walk.stamps, np.int64).reshape(-1, 3)[order]
    ids = tuple(walk.ids[i] for i in order)
    problems = tuple(sorted(walk.problems, key=lambda problem: problem.file))
    return Listing(root, ids, stamps, tuple(sorted(walk.folders)), problems, walk.ignored)


def is_ignored(name: str, *, folder: bool) -> bool:
    """Whether a file or folder is the system's, not the user's: hidden ones, Thumbs.db, __MACOSX and the like."""
    lower = name.lower()
    if name.startswith("."):
        return True
    return lower in IGNORED_FOLDERS if folder else any(fnmatch.fnmatchcase(lower, p) for p in IGNORED_NAMES)


class _Walk:
    """The walk's growing lists; one object for one listing."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.ids: list[str] = []
        self.stamps: list[tuple[int, int, int]] = []
        self.folders: list[str] = []
        self.problems: list[Problem] = []
        self.ignored = 0
        self._waiting: list[tuple[str, str]] = []

    def visit_all(self, root: str) -> None:
        """Visit the root, whose refusal is raised, and all below it, whose refusals are problems; no depth is too deep."""
        self._visit(root, "")
        while self._waiting:
            path, name = self._waiting.pop()
            try:
                self._visit(path, f"{name}/")
            except OSError as error:
                self.problems.append(Problem(name, _refusal(error, "this folder")))

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
        if entry.is_symlink():
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
        elif stat.S_ISREG(status.st_mode):
            self._keep(name, status)
        else:
            self.problems.append(Problem(name, "not an ordinary file (a pipe, socket or device)"))

    def _keep(self, name: str, status: os.stat_result) -> None:
        self.ids.append(name)
        self.stamps.append((status.st_size, status.st_mtime_ns, status.st_ctime_ns))

    def _link(self, entry: os.DirEntry[str], name: str) -> None:
        target = Path(os.path.realpath(entry.path))
        if is_ignored(entry.name, folder=False):
            self.ignored += 1
        elif not target.exists():
            self.problems.append(Problem(name, "a symbolic link that leads nowhere"))
        elif not target.is_relative_to(self.root):
            self.problems.append(Problem(name, "a symbolic link out of the data folder: copy the files instead"))
        elif target.is_dir():
            self.problems.append(Problem(name, "a symbolic link to a folder: not followed"))
        else:
            self._file(entry, name, target.stat())


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
        return "it vanished while the folder was being read"
    return f"can't be read: {(error.strerror or str(error)).lower()}"
