"""Check of files and formats: files that can't be used, conversions on decoding, wrong extensions, mixed modes."""

from __future__ import annotations

import numpy as np

from foveola.checks.finding import Finding
from foveola.data.dataset import Dataset, count_causes
from foveola.data.prepare import FileFacts, Prepared
from foveola.imaging.colour import STRETCH, Note, few_levels_note, with_few_levels
from foveola.text import count

_SUFFIXES = {
    "jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "jfif": "JPEG", "mpo": "JPEG", "png": "PNG", "apng": "PNG", "gif": "GIF",
    "bmp": "BMP", "dib": "BMP", "tif": "TIFF", "tiff": "TIFF", "webp": "WEBP", "ppm": "PPM", "pgm": "PPM", "pbm": "PPM",
    "pnm": "PPM", "avif": "AVIF", "heic": "HEIC", "heif": "HEIC",
}  # fmt: skip

SAVE_AGAIN = (
    "no action needed: foveola uses all pixels; save such a file again before you share it, because other programs may "
    "refuse it"
)

_ADVICE = {
    Note.TURNED: "no action needed: training and prediction both apply the orientation; other programs may show such an "
    "image on its side",
    Note.TO_8_BITS: "no action needed: foveola uses the high byte of each sample, or the range that the file declares",
    Note.ON_WHITE: "if only some classes have transparent images, give all images the same background, or the network may "
    "learn the background",
    Note.FROM_CMYK: "no action needed: the colours may differ slightly from those of a print",
    Note.FIRST_FRAME: "save each frame that you need as a separate file",
    Note.NO_END: SAVE_AGAIN,
    Note.WRONG_COUNT: SAVE_AGAIN,
}


def file_findings(prepared: Prepared) -> list[Finding]:
    """The findings `damaged` and `format`."""
    dataset, files = prepared.dataset, prepared.files
    noted = [*_flattened(dataset, files), *_noted(dataset, files)]
    return [*_damaged(dataset), *_heic(dataset), *noted, *_misnamed(dataset, files), *_mixed(dataset, files)]


def _damaged(dataset: Dataset) -> list[Finding]:
    problems = [problem for problem in dataset.problems if problem.kind == "unusable"]
    if not problems:
        return []
    causes = "; ".join(f"{cause} ({n:,})" for cause, n in count_causes(problems)[:3])
    ids = tuple(problem.file for problem in problems)
    return [
        Finding(
            "damaged",
            "warning",
            f"{len(problems):,} of {count(dataset.files_found, 'file')} can't be used: {causes}",
            "repair, convert or delete each file, depending on the reason given for it; foveola uses all other images",
            ids,
            captions=tuple(problem.reason for problem in problems),
            leave_out=ids,
        )
    ]


def _heic(dataset: Dataset) -> list[Finding]:
    """HEIC files on a computer without the package that reads them: nothing is wrong with the files."""
    ids = tuple(problem.file for problem in dataset.problems if problem.kind == "missing_package")
    if not ids:
        return []
    message = f"{len(ids):,} of {count(dataset.files_found, 'file')} can't be read without the package for HEIC"
    advice = 'install it: pip install "foveola[heic]"; foveola uses all other images'
    return [Finding("damaged", "warning", message, advice, ids, topic="HEIC")]


def _flattened(dataset: Dataset, files: FileFacts) -> list[Finding]:
    """Images whose 16-bit samples use a small part of their range, so that few of 256 levels are left: X-rays, depth maps."""
    ids = tuple(dataset.ids[i] for i in with_few_levels(files.levels))
    found = Finding("format", "warning", few_levels_note(files.levels), STRETCH, ids, topic="few levels")
    return [found] if ids else []


def _noted(dataset: Dataset, files: FileFacts) -> list[Finding]:
    """What decoding did to images: turned upright, reduced to 8 bits, laid on white..."""
    notes = dict.fromkeys(note for kind in files.kinds for note in kind.notes)
    out = []
    for note in notes:
        of = [k for k, kind in enumerate(files.kinds) if note in kind.notes]
        ids = tuple(dataset.ids[i] for i in np.flatnonzero(np.isin(files.of, of)))
        message = f"{note.value}: {count(len(ids), 'image')}"
        out.append(Finding("format", "note", message, _ADVICE[note], ids, topic=note.value))
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
    have = "has an extension that does" if len(ids) == 1 else "have extensions that do"
    message = f"{count(len(ids), 'file')} {have} not match the content; foveola goes by the content"
    return [
        Finding(
            "format",
            "note",
            message,
            "give each file the extension of its format: other programs may refuse it otherwise",
            tuple(ids),
            captions=tuple(said),
            topic="file extensions",
        )
    ]


def _mixed(dataset: Dataset, files: FileFacts) -> list[Finding]:
    """Grey images in a data set that has colour images too."""
    modes = [{"L": "grey", "1": "black and white"}.get(kind.mode, "") for kind in files.kinds]
    grey = np.isin(files.of, [k for k, mode in enumerate(modes) if mode])
    if not grey.any() or grey.all():
        return []
    ids = tuple(dataset.ids[i] for i in np.flatnonzero(grey))
    stored = "is stored" if len(ids) == 1 else "are stored"
    message = f"{len(ids):,} of {count(len(dataset), 'image')} {stored} in grey, the others in colour"
    return [
        Finding(
            "format",
            "note",
            message,
            "no action needed, unless most of them are in a few classes: then the network may learn to recognise these "
            "classes by their lack of colour",
            ids,
            topic="grey images",
        )
    ]
