"""Dataset: ids, labels, class names, and a source (files on a disk, or an array in memory) that reads image i.

This module knows no file layout (see `folder`, `cifar10`, `arrays`) and does not decode all images (see `prepare`).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveola.errors import DataError, ImageProblem, PassingProblem, ProblemKind, UsageError
from foveola.imaging import decode as images
from foveola.imaging import file_formats as opening
from foveola.imaging.decode import Decoded
from foveola.imaging.resize import Resize, resize
from foveola.storage import digest, require_ordinary
from foveola.text import printable, unknown
from foveola.types import Image, Images, Indices, Labels, Size


class Source(Protocol):
    """The source of a data set's images."""

    def read(self, i: int, size: Size, how: Resize) -> Decoded:
        """Image i at the given size. Raises ImageProblem with the reason."""

    def full(self, i: int) -> Decoded:
        """Image i whole. Raises ImageProblem with the reason."""

    def size(self, i: int) -> tuple[int, int]:
        """Upright height and width of image i, from its header. Raises ImageProblem with the reason."""

    def take(self, rows: Indices) -> Source:
        """The source of these images only, in this order."""

    @property
    def bytes_each(self) -> float:
        """Mean size of a stored image, for planning the work."""


@dataclass(frozen=True)
class Files:
    """Images in files.

    digests: uint8 (n, 32), the SHA-256 of their bytes when they were indexed; sizes: int32 (n, 2), upright height and width
    as measured then, zero for images that were not.
    """

    root: Path
    ids: tuple[str, ...]
    digests: NDArray[np.uint8]
    sizes: NDArray[np.int32]
    bytes_each: float

    def read(self, i: int, size: Size, how: Resize) -> Decoded:
        return images.decode_and_resize(self._bytes(i), size, how)

    def full(self, i: int) -> Decoded:
        return images.decode(self._bytes(i))

    def size(self, i: int) -> tuple[int, int]:
        height, width = self.sizes[i].tolist()
        return (height, width) if height else images.size_of(read_file(f"{self.root}/{self.ids[i]}"))

    def take(self, rows: Indices) -> Files:
        return Files(self.root, tuple(self.ids[i] for i in rows), self.digests[rows], self.sizes[rows], self.bytes_each)

    def _bytes(self, i: int) -> bytes:
        data = read_file(f"{self.root}/{self.ids[i]}")
        if sha256(data).digest() != self.digests[i].tobytes():
            raise PassingProblem("the file changed while it was being read: start again")
        return data


@dataclass(frozen=True)
class Arrays:
    """Images in memory, all of one size: uint8 (n, h, w, 3)."""

    pixels: Images

    def read(self, i: int, size: Size, how: Resize) -> Decoded:
        whole = self.full(i)
        return replace(whole, image=resize(whole.image, size, how))

    def full(self, i: int) -> Decoded:
        height, width = self.pixels.shape[1:3]
        image = self.pixels[i]
        content = sha256(np.ascontiguousarray(image)).digest()
        return Decoded(image, "array", height, width, 1, False, (), content, "RGB", image.nbytes)

    def size(self, i: int) -> tuple[int, int]:
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    def take(self, rows: Indices) -> Arrays:
        return Arrays(self.pixels[rows])

    @property
    def bytes_each(self) -> float:
        return float(np.prod(self.pixels.shape[1:]))


def read_named(path: Path) -> bytes:
    """The bytes of a file that a user named, which may be anything. Raises ImageProblem with the reason."""
    try:
        require_ordinary(path)
    except OSError as error:
        raise PassingProblem(error.strerror or str(error)) from None
    return read_file(str(path))


def read_file(path: str) -> bytes:
    """The bytes of a file. Raises ImageProblem instead of OSError, so that one bad file does not stop the others."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes on small files
            size = os.fstat(file.fileno()).st_size
            if size > opening.MAX_BYTES:
                raise opening.too_large(size)
            return file.read()
    except PermissionError:
        raise PassingProblem("no permission to read it") from None
    except FileNotFoundError:
        raise PassingProblem("it was deleted while the folder was being read") from None
    except OSError as error:
        raise PassingProblem(f"can't be read: {(error.strerror or str(error)).lower()}") from None


Part: TypeAlias = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Problem:
    """A file that was found and is not used.

    reason: why, in words; label: the class it would have had, where that is known; kind: why, for decisions in code; cause:
    the reason without details that differ from file to file, for counting; the whole reason by default.
    """

    file: str
    reason: str
    label: str = field(default="", compare=False)
    kind: ProblemKind = "unusable"
    cause: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cause", self.cause or self.reason)

    @classmethod
    def of(cls, file: str, error: ImageProblem) -> Problem:
        """The problem of a file that raised this error."""
        return cls(file, str(error), kind=error.kind, cause=error.cause)


def count_causes(problems: Sequence[Problem]) -> tuple[tuple[str, int], ...]:
    """The causes with the number of files of each, the most frequent first.

    >>> count_causes([Problem("a.jpg", "cut short (7 bytes)", cause="cut short"), Problem("b.jpg", "empty file"),
    ...               Problem("c.jpg", "cut short (9 bytes)", cause="cut short")])
    (('cut short', 2), ('empty file', 1))
    """
    return tuple(Counter(problem.cause for problem in problems).most_common())


@dataclass(frozen=True)
class Dataset:
    """A named set of labelled images.

    class_names: K names in natural order ("2" before "10"); ids: n stable names ("cats/0007.jpg"); labels: int64 (n,);
    parts: int64 (n,), 0 train, 1 val, 2 test as the data's makers gave them, -1 where foveola splits; groups: int64
    (n,), images of one group stay in one part, None if there are no groups; fingerprint: SHA-256 over ids,
    labels, parts and the bytes of every file, so neither the path nor the date matters; problems: files that were
    found but are not used; files_found = n + len(problems) + files_ignored; notes: remarks for the user; mirror_safe:
    whether a mirrored image is still one of its class (digits are not).
    """

    name: str
    class_names: tuple[str, ...]
    ids: tuple[str, ...]
    labels: Labels
    source: Source
    fingerprint: str
    parts: Indices | None = None
    groups: Indices | None = None
    problems: tuple[Problem, ...] = ()
    files_found: int = 0
    files_ignored: int = 0
    notes: tuple[str, ...] = ()
    mirror_safe: bool = True

    @property
    def grouping(self) -> dict[str, str]:
        """Under "groups" the digest of the groups, {} without any: they decide a split, and are not in the fingerprint, by
        which data is known again that is opened without them."""
        return {} if self.groups is None else {"groups": digest(self.groups.astype("<i8").tobytes())[:16]}

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, i: int) -> Image:
        """Image i whole: uint8 (h, w, 3). Raises ImageProblem when it can't be decoded."""
        return self.source.full(i).image

    def take(self, rows: Indices, problems: Sequence[Problem] = ()) -> Dataset:
        """The data set of these rows only; what was dropped is listed in `problems`."""
        label = dict(zip(self.ids, self.labels.tolist(), strict=True)) if problems else {}
        problems = [replace(p, label=self.class_names[label[p.file]]) if p.file in label else p for p in problems]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in rows),
            labels=self.labels[rows],
            source=self.source.take(rows),
            parts=None if self.parts is None else self.parts[rows],
            groups=None if self.groups is None else self.groups[rows],
            problems=(*self.problems, *problems),
        )

    def counts(self) -> NDArray[np.int64]:
        """Images of each class: int64 (K,)."""
        return np.bincount(self.labels, minlength=len(self.class_names)).astype(np.int64)


def rows_to_measure(n: int) -> range:
    """Up to 500 of n images, evenly spread: their sizes decide the size "auto"."""
    return range(0, n, max(1, -(-n // 500)))


def probe_sizes(dataset: Dataset) -> tuple[list[int], list[int]]:
    """Heights and widths, upright, in pixels, of up to 500 images, evenly spread."""
    heights, widths = [], []
    with images.suppress_pillow_warnings():
        for i in rows_to_measure(len(dataset)):
            try:
                height, width = dataset.source.size(i)
            except ImageProblem:  # it will be listed when it is decoded
                continue
            heights.append(height)
            widths.append(width)
    return heights, widths


def normalise_name(name: str) -> str:
    """A name by its letters, in Unicode's composed form (NFC): "é" may be one code point or, from a Mac, two.

    >>> normalise_name("pe\\u0300che") == "p\\xe8che"
    True
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def find_class(name: str, class_names: Sequence[str]) -> str:
    """The class of this name among `class_names`, whatever its Unicode form. Raises UsageError for an unknown class."""
    found = [one for one in class_names if normalise_name(one) == normalise_name(name)]
    if not found:
        raise UsageError(unknown("class", name, class_names))
    return name if name in found else found[0]


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key for class names: digits by value, the rest by letters; so 0, 1, 2, 10 and not 0, 1, 10, 2.

    >>> sorted(["10", "2", "1", "b", "a"], key=natural_key)
    ['1', '2', '10', 'a', 'b']
    """
    pieces = re.split(r"(\d+)", name)
    key = [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces if p]
    return (*key, (2, 0, name))


def fingerprint_of(
    ids: Sequence[str],
    class_names: Sequence[str],
    labels: Labels,
    parts: Indices | None,
    contents: bytes,
) -> str:
    """SHA-256 of all that makes a data set what it is; `contents` are the images' own digests, in order."""
    return digest(
        "\0".join(ids),
        "\0".join(class_names),
        labels.astype("<i8").tobytes(),
        b"" if parts is None else parts.astype("<i8").tobytes(),
        contents,
    )


def require_classes(name: str, class_names: Sequence[str], labels: Labels, problems: Sequence[Problem] = ()) -> None:
    """Refuse fewer than two classes, and classes without an image: what training needs. Raises DataError.

    problems: files that can't be used; those of an empty class, or in a folder of its name, say why it is empty.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    if len(class_names) < 2:
        only = f"one class, '{class_names[0]}'" if class_names else "no class"
        raise DataError(f"{name} contains {only}: a classifier needs at least two")
    empty = [class_names[k] for k in np.flatnonzero(counts == 0).tolist()]
    if not empty:
        return
    shown = ", ".join(printable(one) for one in empty[:10]) + (f", and {len(empty) - 10:,} more" if empty[10:] else "")
    which = f"class '{shown}' contains" if len(empty) == 1 else f"{len(empty):,} classes ({shown}) contain"
    names = {one.rpartition("/")[2] for one in empty}
    reasons = common_reasons(
        [p for p in problems if p.label in empty or not names.isdisjoint(normalise_name(p.file).split("/"))]
    )
    advice = "add images to it, or remove the class" if len(empty) == 1 else "add images to them, or remove them"
    raise DataError(f"{name}: {which} no usable image: {reasons or advice}")


def require_images(name: str, labels: Labels, problems: Sequence[Problem] = ()) -> None:
    """Refuse data without a usable image, the only requirement if no network is trained on it. Raises DataError."""
    if not len(labels):
        raise DataError(f"{name} contains no usable image: {common_reasons(problems) or 'check the path'}")


def common_reasons(problems: Sequence[Problem]) -> str:
    """A clause on files of which none can be used: how many they are, and the most common reason with its advice.

    >>> common_reasons([Problem("a.jpg", "cut short"), Problem("b.jpg", "cut short"), Problem("c.jpg", "no permission")])
    'none of the 3 files can be used; the reason for 2 of them: cut short'
    """
    if not problems:
        return ""
    cause, n = count_causes(problems)[0]
    whole = {problem.reason for problem in problems if problem.cause == cause}
    reason = whole.pop() if len(whole) == 1 else cause
    if len(problems) == 1:
        return f"the only file can't be used: {reason}"
    if n == len(problems):
        return f"none of the {n:,} files can be used: {reason}"
    return f"none of the {len(problems):,} files can be used; the reason for {n:,} of them: {reason}"
