"""Atomic writes of files and folders, the cache folder, hashes, and the rules for outputs that exist.

A file under its final name is always complete: everything is written next to it, flushed to the disk, then renamed.

All commands treat outputs that exist alike. A file is replaced only with --overwrite, and a folder that holds files is
refused without it; both before any work. Where foveola chooses the name itself, it takes the next free one
(`check-2.html`, `seed-0000-2`). Only pages inside a run or a comparison are written again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from foveola.errors import ResourceError, UsageError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_IN_THE_WAY = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EIO}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG}


def digest(*parts: bytes | str) -> str:
    """SHA-256 of the parts as 64 hex digits; each part's length enters, so ("ab", "c") differs from ("a", "bc")."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def cache_root() -> Path:
    """Where decoded images and downloads are kept: $FOVEOLA_CACHE, or the system's own cache folder."""
    chosen = os.environ.get("FOVEOLA_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("foveola", appauthor=False))


class _TakenError(UsageError):
    """A file of this name exists already."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} already exists: choose another name, or add --overwrite to replace it")


def write_atomic(path: Path, data: bytes | str, *, overwrite: bool = True) -> None:
    """Write the file whole or not at all; an older one stays until the new one is safe on the disk.

    overwrite: whether an older one may be replaced. Raises UsageError where it may not, and ResourceError, which names the
    file, when the disk refuses; no temporary file is left.
    """
    raw = data.encode("utf-8") if isinstance(data, str) else data
    with disk_errors_as_resource_error(path, len(raw)):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        try:
            with temporary.open("xb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            _rename(temporary, path, overwrite)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)


def _rename(temporary: Path, path: Path, overwrite: bool) -> None:
    """Give a file its final name; without `overwrite` even a file that somebody made a moment ago stays."""
    if not overwrite:
        try:
            path.hardlink_to(temporary)  # where a rename would replace a file, this fails
        except FileExistsError:
            raise _TakenError(path) from None
        except (OSError, NotImplementedError):  # a disk without hard links, such as a USB stick
            if os.path.lexists(path):
                raise _TakenError(path) from None
        else:
            temporary.unlink()
            return
    temporary.replace(path)


def write_numbered(path: Path, data: bytes | str) -> Path:
    """Write the file under the first free name of `page.html`, `page-2.html`, `page-3.html`...; give that name."""
    for one in _numbered(path):
        with contextlib.suppress(_TakenError):
            write_atomic(one, data, overwrite=False)
            return one
    raise AssertionError("the numbers never end")


def claim_folder(path: Path) -> Path:
    """Make and return the first free folder of `name`, `name-2`, `name-3`..., safe against other running programs."""
    with disk_errors_as_resource_error(path, 0):
        path.parent.mkdir(parents=True, exist_ok=True)
        for one in _numbered(path):
            with contextlib.suppress(FileExistsError):
                one.mkdir()
                return one
    raise AssertionError("the numbers never end")


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


def require_new(path: Path, *, overwrite: bool = False) -> None:
    """Refuse an output file that exists, or that can't be written, before any work is done.

    overwrite: whether an ordinary file may be replaced. Raises UsageError or ResourceError.
    """
    with disk_errors_as_resource_error(path, 0):
        if path.is_dir():
            raise UsageError(f"{path} is a folder: give the name of a file")
        mode = path.stat().st_mode if path.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            raise UsageError(f"{path} is a pipe or a device: give the name of a file")
        if os.path.lexists(path) and not overwrite:
            raise _TakenError(path)
    require_writable(path)


def require_new_folder(path: Path, *, overwrite: bool | None = None) -> None:
    """Refuse an output folder that holds files, or that can't be made, before any work is done.

    overwrite: whether files in it may be replaced; None for commands that never do. Raises UsageError or ResourceError.
    """
    with disk_errors_as_resource_error(path, 0):
        if not path.is_dir():
            if os.path.lexists(path):
                raise UsageError(f"the output folder {path} is a file: choose a new folder, or delete it first")
            require_writable(path)
        elif not overwrite and any(path.iterdir()):
            way = "delete it first" if overwrite is None else "add --overwrite to replace files of the same names"
            raise UsageError(f"the output folder {path} already contains files: choose a new folder, or {way}")
        else:
            require_writable(path / "file")


def require_writable(path: Path) -> None:
    """Refuse a place where nothing can be written, by trying it; nothing stays there. Raises ResourceError."""
    with disk_errors_as_resource_error(path, 0):
        place = next(one for one in path.absolute().parents if os.path.lexists(one))
        probe = _beside(place / path.name)
        probe.touch(exist_ok=False)
        probe.unlink()


def require_room(path: Path, bytes_needed: int) -> None:
    """Refuse a disk with fewer free bytes than needed. Raises ResourceError."""
    with disk_errors_as_resource_error(path, bytes_needed):
        place = next(one for one in path.absolute().parents if os.path.lexists(one))
        free = shutil.disk_usage(place).free
    if free < bytes_needed:
        raise ResourceError(
            f"{path.parent} has {free / 1e6:,.0f} MB free and {bytes_needed / 1e6:,.0f} MB are needed: "
            f"{_advice(path, errno.ENOSPC)}"
        )


@contextlib.contextmanager
def folder_atomic(path: Path, bytes_needed: int) -> Iterator[Path]:
    """A temporary folder that becomes `path` if the block succeeds, and is deleted if it fails.

    If another process finished the same folder meanwhile, that one stays: both hold the same content.
    Raises ResourceError before any work when the disk has less than `bytes_needed` free.
    """
    with disk_errors_as_resource_error(path, bytes_needed):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        require_room(path, bytes_needed)
        temporary = _beside(path)
        temporary.mkdir()
        try:
            yield temporary
            try:
                temporary.rename(path)
            except OSError:
                if not path.is_dir():  # if it is one, another process was faster, with the same content
                    raise
            _flush_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def preallocate(path: Path) -> None:
    """Reserve the disk space of a file that will be written through a memory map.

    Otherwise a disk (or quota) that fills up meanwhile ends the process with SIGBUS, which can't be caught.
    Raises OSError; systems that can't reserve do without.
    """
    with path.open("r+b") as file, contextlib.suppress(AttributeError):
        try:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            if error.errno in (*_FULL, *_REFUSED, errno.EIO):
                raise


@contextlib.contextmanager
def disk_errors_as_resource_error(path: Path, bytes_needed: int) -> Iterator[None]:
    """Turn an OSError of the disk into a ResourceError that names the file, the reason and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in (*_FULL, *_IN_THE_WAY, *_REFUSED):
            raise
        what = "the cache file " if _is_cache(path) else ""
        size = f" ({bytes_needed:,} bytes)" if bytes_needed and error.errno in _FULL else ""
        reason = (error.strerror or str(error)).lower()
        raise ResourceError(f"can't write {what}{path}{size}: {reason}: {_advice(path, error.errno)}") from error


def _advice(path: Path, code: int | None) -> str:
    """The remedy for an error of the disk."""
    choose = "set FOVEOLA_CACHE to" if _is_cache(path) else "choose"
    if code in _FULL:
        return f"free some space, or {choose} a folder on a larger disk"
    if code in _IN_THE_WAY:
        return f"{choose} another folder"
    if code == errno.ENAMETOOLONG:
        return f"{choose} a shorter path"
    return f"{choose} a folder that you can write to"


def _is_cache(path: Path) -> bool:
    return path.absolute().is_relative_to(cache_root().absolute())


def new_folder(path: Path, *, overwrite: bool | None = None) -> Path:
    """Make an empty folder for output, or take one that is allowed: see `require_new_folder`, which raises the errors."""
    require_new_folder(path, overwrite=overwrite)
    if not path.is_dir():
        with disk_errors_as_resource_error(path, 0):  # another program may have made it a moment ago
            path.mkdir(parents=True)
    return path


@contextlib.contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """An empty folder for output that is filled whole or not at all: if the block fails, what it wrote is deleted again.

    Raises UsageError for a folder that holds files, ResourceError if the disk refuses.
    """
    there = path.is_dir()
    new_folder(path)
    try:
        with disk_errors_as_resource_error(path, 0):
            yield path
    except BaseException:
        for left in path.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        if not there:
            path.rmdir()
        raise


def require_ordinary(path: Path) -> None:
    """Refuse to read a named pipe, a socket or a device, which may never end. Raises OSError with the reason.

    /dev/stdin and the shell's <(command) are pipes too, with a program that writes into them: they may be read.
    """
    mode = path.stat().st_mode
    piped = stat.S_ISFIFO(mode) and str(path.absolute()).startswith(("/dev/", "/proc/"))
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or piped):
        raise OSError(errno.EINVAL, "not an ordinary file (a pipe, socket or device)")


def _beside(path: Path) -> Path:
    """An unused name in the same folder. Not tempfile's: only their owner can read its files, while access to runs and
    caches follows the user's umask."""
    return path.with_name(f".{path.name[:32]}.{secrets.token_hex(6)}.part")


_FORGOTTEN_SECONDS = 86_400


def _sweep(path: Path) -> None:
    """Remove the temporary folders next to it that killed processes left: nothing has been written below them for a day."""
    for left in path.parent.glob(f".*.{12 * '[0-9a-f]'}.part/"):
        with contextlib.suppress(OSError):
            newest = max(one.stat().st_mtime for one in (left, *left.rglob("*")))
            if time.time() - newest > _FORGOTTEN_SECONDS:
                shutil.rmtree(left)


def _flush_folder(path: Path) -> None:
    """Make a rename survive a power cut; Windows can't open folders and does without."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
