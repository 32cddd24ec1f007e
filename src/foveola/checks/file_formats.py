"""Findings about files: what can't be used, and what is unusual about those that can."""

from __future__ import annotations

from collections import Counter

import numpy as np

from foveola.checks.finding import Finding
from foveola.data.dataset import Dataset
from foveola.data.exclude import LEFT_OUT
from foveola.data.prepare import FileFacts, Prepared
from foveola.errors import count
from foveola.imaging.colour import STRETCH, TO_8_BITS, few_levels_note, with_few_levels
from foveola.imaging.decode import NO_END, WRONG_COUNT
from foveola.imaging.file_formats import HEIC_NEEDS_PACKAGE

_SUFFIXES = {
    "jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "mpo": "JPEG", "png": "PNG", "apng": "PNG", "gif": "GIF",
    "bmp": "BMP", "dib": "BMP", "tif": "TIFF", "tiff": "TIFF", "webp": "WEBP", "ppm": "PPM", "pgm": "PPM", "pbm": "PPM",
    "pnm": "PPM", "avif": "AVIF", "heic": "HEIC", "heif": "HEIC",
}  # fmt: skip

SAVE_AGAIN = (
    "nothing: all pixels are used; other programs may refuse these files, so save them again if you pass them on"
)

_ADVICE = {
    "turned upright by its EXIF orientation": "nothing: it is applied in training and in prediction alike; other tools may "
    "show these images lying on their side",
    TO_8_BITS: "nothing: the high byte of each sample is used, or the range that the file declares",
    "transparency laid on white": "if only some classes are transparent, put all on the same background, or the network may "
    "learn the background",
    "converted from CMYK": "nothing; colours may differ a little from what a print shows",
    "first of several frames or pages": "save the frames that you want as files of their own",
    NO_END: SAVE_AGAIN,
    WRONG_COUNT: SAVE_AGAIN,
}


def file_findings(prepared: Prepared) -> list[Finding]:
    """damaged and format."""
    dataset, files = prepared.dataset, prepared.files
    noted = [*_flattened(dataset, files), *_noted(dataset, files)]
    return [*_damaged(dataset), *_heic(dataset), *noted, *_misnamed(dataset, files), *_mixed(dataset, files)]


def _damaged(dataset: Dataset) -> list[Finding]:
    problems = [p for p in dataset.problems if LEFT_OUT not in p.reason and p.reason != HEIC_NEEDS_PACKAGE]
    if not problems:
        return []
    reasons = Counter(problem.reason.split(" (")[0] for problem in problems).most_common(3)
    said = "; ".join(f"{reason} ({n:,})" for reason, n in reasons)
    ids = tuple(problem.file for problem in problems)
    return [
        Finding(
            "damaged",
            "warning",
            f"{count(len(problems), 'file')} of {dataset.files_found:,} can't be used: {said}",
            "repair, convert or delete them, depending on the reason given for each; the other images are used",
            ids,
            captions=tuple(problem.reason for problem in problems),
            leave_out=ids,
        )
    ]


def _heic(dataset: Dataset) -> list[Finding]:
    """HEIC files on a computer without the package that reads them: nothing is wrong with the files."""
    ids = tuple(problem.file for problem in dataset.problems if problem.reason == HEIC_NEEDS_PACKAGE)
    if not ids:
        return []
    message = f"{count(len(ids), 'HEIC file')} of {count(dataset.files_found, 'file')} can't be read without a package"
    advice = 'install it: pip install "foveola[heic]"; until then the other images are used'
    return [Finding("damaged", "warning", message, advice, ids, topic="HEIC")]


def _flattened(dataset: Dataset, files: FileFacts) -> list[Finding]:
    """Images whose 16-bit samples use a small part of their range, so that few of 256 levels are left: X-rays, depth maps."""
    ids = tuple(dataset.ids[i] for i in with_few_levels(files.levels))
    found = Finding("format", "warning", few_levels_note(files.levels), STRETCH, ids, topic="few levels")
    return [found] if ids else []


def _noted(dataset: Dataset, files: FileFacts) -> list[Finding]:
    """What was done to images on decoding: turned, cut to 8 bit, laid on white..."""
    notes = dict.fromkeys(note for kind in files.kinds for note in kind.notes)
    out = []
    for note in notes:
        of = [k for k, kind in enumerate(files.kinds) if note in kind.notes]
        ids = tuple(dataset.ids[i] for i in np.flatnonzero(np.isin(files.of, of)))
        advice = _ADVICE.get(note, "nothing, if that is what you expect")
        out.append(Finding("format", "note", f"{note}: {count(len(ids), 'image')}", advice, ids, topic=note))
    return out


def _misnamed(dataset: Dataset, files: FileFacts) -> list[Finding]:
    """Files whose name claims another format than their content has."""
    ids, said = [], []
    forms = [kind.format for kind in files.kinds]
    for name, k in zip(dataset.ids, files.of.tolist(), strict=True):
        claimed = _SUFFIXES.get(name.rpartition(".")[2].lower())
        if claimed and forms[k] != claimed and forms[k] in {*_SUFFIXES.values()}:
            ids.append(name)
            said.append(f"is {forms[k]}")
    if not ids:
        return []
    message = f"another format than the name says: {count(len(ids), 'file')}; the content counts"
    return [
        Finding(
            "format",
            "note",
            message,
            "rename them: other programs may refuse them",
            tuple(ids),
            captions=tuple(said),
            topic="file extensions",
        )
    ]


def _mixed(dataset: Dataset, files: FileFacts) -> list[Finding]:
    """More than one mode (colour and grey) in one set; the rarer ones are listed."""
    modes = [{"L": "grey", "1": "black and white"}.get(kind.mode, "") for kind in files.kinds]
    grey = np.isin(files.of, [k for k, mode in enumerate(modes) if mode])
    if not grey.any() or grey.all():
        return []
    ids = tuple(dataset.ids[i] for i in np.flatnonzero(grey))
    message = f"{count(len(ids), 'image')} of {len(dataset):,} are stored as grey, the others in colour"
    return [
        Finding(
            "format",
            "note",
            message,
            "nothing, unless colour matters and only some classes lack it",
            ids,
            topic="grey images",
        )
    ]
