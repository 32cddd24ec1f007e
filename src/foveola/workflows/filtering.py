"""`filter`: apply a filter chain to an image or a folder, or draw its steps and kernels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from foveola import figures
from foveola.config import checks_keywords
from foveola.data.dataset import read_named
from foveola.data.scan import scan_folder
from foveola.errors import ImageProblem, UsageError
from foveola.filters.chain import Chain
from foveola.imaging import decode as images
from foveola.imaging.colour import STRETCH, few_levels_note
from foveola.jupyter import shown_in_notebooks
from foveola.runs.progress import Progress
from foveola.storage import new_folder, require_new, write_atomic
from foveola.text import count
from foveola.types import Tick

if TYPE_CHECKING:
    from foveola.figures.style import Plot
    from foveola.imaging.decode import Decoded
    from foveola.types import Image

Drawing = Literal["steps", "kernel-view"]

_WRITABLE: dict[str, Literal["PNG", "JPEG"]] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


@dataclass(frozen=True)
class Filtered:
    """The result of `filter`: files written, problems (file, reason) of unreadable images, and notes."""

    written: tuple[Path, ...]
    problems: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola filter --json` prints."""
        return {
            "written": [str(path) for path in self.written],
            "problems": [{"file": file, "reason": reason} for file, reason in self.problems],
            "notes": list(self.notes),
        }


@checks_keywords()
@shown_in_notebooks
def filter(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    chain: str,
    *,
    drawing: Drawing | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Filtered:
    """Apply a filter chain such as "blur(size=3)|sharpen" to an image or every image of a folder, at full size.

    An image becomes the file `out` (.png, without loss, or .jpg); a folder becomes the new folder `out` of the same names,
    all as .png. drawing: instead of that draw a figure (.png, .svg or .pdf) of an image: "steps" shows it after each step,
    "kernel-view" each kernel's numbers, its response to one bright pixel, the frequencies it passes, and the image after it.
    Images that can't be read are listed and never stop the rest. overwrite: replace files that exist, but never the input
    image.

    Raises UsageError for a chain that can't be read or an `out` that exists, ImageProblem for a single image
    that can't be read.

        fv.filter("photo.jpg", "edges.png", "blur(size=3)|canny(low=50, high=150)")
    """
    source, out, parsed, tick = Path(source), Path(out), Chain.parse(chain), (progress or Progress()).tick
    if not parsed.steps:
        raise UsageError("the chain is empty: write, for example, blur(size=3)|sharpen")
    if not source.exists():
        raise UsageError(f"there is no file {source}: check the path")
    if source.is_dir():
        if drawing:
            raise UsageError(f"{source} is a folder, and --{drawing} draws one image: name a file")
        return _folder(source, out, parsed, overwrite, tick)
    if drawing is None and out.suffix.lower() not in _WRITABLE:
        raise UsageError(f"the name of a filtered image must end in .png or .jpg; got '{out.name}'")
    if overwrite and out.exists() and out.samefile(source):
        raise UsageError(f"{out} is the input image, which foveola never replaces: choose another name")
    require_new(out, overwrite=overwrite)
    with images.suppress_pillow_warnings():
        try:
            decoded = _read(source)
        except ImageProblem as problem:
            raise ImageProblem(f"{source} can't be read: {problem}") from None
    if drawing:
        _draw(decoded.image, parsed, drawing).write(out, overwrite=overwrite)
    else:
        image = parsed(decoded.image)
        data = images.encode(image, _WRITABLE[out.suffix.lower()], quality=95, smallest=False)
        write_atomic(out, data, overwrite=overwrite)
    return Filtered((out,), notes=_notes([decoded.levels]))


def _notes(levels: Sequence[int]) -> tuple[str, ...]:
    """Notes about 16-bit images that were converted to 8 bits; levels: of each image, 0 for 8-bit images."""
    import numpy as np

    deep = sum(level > 0 for level in levels)
    if not deep:
        return ()
    have = "has 16-bit samples: its result has" if deep == 1 else "have 16-bit samples: their results have"
    lost = few_levels_note(np.array(levels, np.int16))
    return (f"{count(deep, 'image')} {have} 8 bits", *([f"{lost}: {STRETCH}"] if lost else []))


def _draw(image: Image, chain: Chain, drawing: Drawing) -> Plot:
    return figures.steps(image, chain) if drawing == "steps" else figures.kernel_view(image, chain)


def _read(path: Path) -> Decoded:
    return images.decode(read_named(path))


def _folder(source: Path, out: Path, chain: Chain, overwrite: bool, tick: Tick) -> Filtered:
    listing = scan_folder(source)
    if not listing.ids:
        raise UsageError(f"{source} contains no images: name a folder of images")
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"the output folder {out} is inside {source}: choose one outside of it")
    if source.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"the output folder {out} contains {source}: choose one outside of it")
    new_folder(out, overwrite=overwrite)

    def one(name: str, target: str) -> tuple[str, int]:
        """Why it could not be written, and how many levels it uses."""
        try:
            decoded = _read(source / name)
            write_atomic(out / target, images.encode(chain(decoded.image), smallest=False))
        except (ImageProblem, UsageError) as problem:  # UsageError: this one is too small for a kernel
            return str(problem), 0
        return "", decoded.levels

    levels, written, problems = [], [], [(problem.file, problem.reason) for problem in listing.problems]
    targets = as_png(listing.ids)
    with images.suppress_pillow_warnings(), ThreadPoolExecutor(os.cpu_count()) as threads:
        results = threads.map(one, listing.ids, targets)
        for k, (name, target, (reason, used)) in enumerate(zip(listing.ids, targets, results, strict=True), start=1):
            levels.append(used)
            if reason:
                problems.append((name, reason))
            else:
                written.append(out / target)
            tick("Filtering images", k, len(targets))
    return Filtered(tuple(written), tuple(problems), _notes(levels))


def as_png(names: Sequence[str]) -> list[str]:
    """The names with .png at their end; where two would be one (cat.jpg, cat.bmp), both keep their own ending before it.

    >>> as_png(("a/cat.jpg", "a/cat.bmp", "a/dog.jpg"))
    ['a/cat.jpg.png', 'a/cat.bmp.png', 'a/dog.png']
    """
    short = [str(PurePosixPath(name).with_suffix(".png")) for name in names]
    many = Counter(map(str.lower, short))  # on some disks Cat.png and cat.png are one
    found = [name + ".png" if many[png.lower()] > 1 else png for name, png in zip(names, short, strict=True)]
    return found if len({name.lower() for name in found}) == len(names) else [name + ".png" for name in names]
