"""Disk: hashes, files and folders that appear whole or not at all, and where caches live.

A file under its final name is always complete: everything is written beside it, flushed to the disk, then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from foveola.errors import ResourceError, UsageError

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}


def digest(*parts: bytes | str) -> str:
    """SHA-256 of the parts as 64 hex digits; each part's length enters, so ("ab", "c") differs from ("a", "bc")."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def cache_root() -> Path:
    """Where decoded pictures and downloads are kept: $FOVEOLA_CACHE, or the system's own cache folder."""
    chosen = os.environ.get("FOVEOLA_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("foveola", appauthor=False))


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write the file whole or not at all; an older one stays until the new one is safe on the disk.

    Raises ResourceError, naming file and bytes, when the disk refuses; no temporary file is left.
    """
    raw = data.encode("utf-8") if isinstance(data, str) else data
    with refusals_named(path, len(raw)):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        try:
            with temporary.open("xb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)


@contextlib.contextmanager
def folder_atomic(path: Path, bytes_needed: int) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends well, and vanishes when it does not.

    If somebody else finished the same folder meanwhile, theirs stays and ours is dropped: both hold the same content.
    Raises ResourceError before any work when the disk has less than `bytes_needed` free.
    """
    with refusals_named(path, bytes_needed):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        free = shutil.disk_usage(path.parent).free
        if free < bytes_needed:
            raise ResourceError(
                f"{path.parent} has {free / 1e6:,.0f} MB free and {bytes_needed / 1e6:,.0f} MB are needed: "
                "free some space, or point FOVEOLA_CACHE at a larger disk"
            )
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


def reserve(path: Path) -> None:
    """Claim the disk's room for a file that will be written through a memory map.

    Without it a disk (or a quota) that fills up meanwhile ends the process with SIGBUS, which nobody can catch.
    Raises OSError; systems that can't reserve do without.
    """
    with path.open("r+b") as file, contextlib.suppress(AttributeError):
        try:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            if error.errno in _DISK_ERRORS:
                raise


@contextlib.contextmanager
def refusals_named(path: Path, bytes_needed: int) -> Iterator[None]:
    """Turn the disk's refusals into a ResourceError that names the file, the bytes and the way out."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS and not isinstance(error, NotADirectoryError | FileExistsError):
            raise
        raise ResourceError(
            f"can't write {path} ({bytes_needed:,} bytes): {(error.strerror or str(error)).lower()}: "
            "free some space or choose another folder"
        ) from error


def new_folder(path: Path) -> Path:
    """Make an empty folder for output. Raises UsageError if something is there already, before any work is done."""
    if path.is_dir() and not any(path.iterdir()):
        return path
    if path.exists() or path.is_symlink():
        what = "holds files already" if path.is_dir() else "is a file"
        raise UsageError(f"the output folder {path} {what}: choose a new folder, or delete it first")
    with refusals_named(path, 0):
        path.mkdir(parents=True)
    return path


def _beside(path: Path) -> Path:
    """A name that nobody has, in the same folder. Not tempfile's: its files are closed to everybody else, and runs and
    caches are for whomever the user's umask lets in."""
    return path.with_name(f".{path.name[:32]}.{secrets.token_hex(6)}.part")


_FORGOTTEN_SECONDS = 86_400


def _sweep(path: Path) -> None:
    """Remove the temporary folders beside it that killed processes left: nothing has been written below them for a day."""
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
