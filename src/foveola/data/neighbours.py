"""What lies next to the folder that the user named: was it one folder too low?"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from foveola.data.folder_names import is_doubtful, part_of
from foveola.data.layout_refusals import listed, quoted
from foveola.data.listing import looks_like_image


def other_classes(root: Path) -> str:
    """For a folder of images without class folders: that the folder above holds the classes; "" if it does not seem so.

    "Or name the folder above, if cats and dogs are the classes: foveola train photos"
    """
    beside = [path for path in _folders_beside(root) if _holds_images(path)]
    if len(beside) < 2 or any(is_doubtful(path.name) for path in beside):
        return ""
    names = listed([path.name for path in beside])
    return f"Or name the folder above, if {names} are the classes: foveola train {quoted(root.resolve().parent)}"


def other_parts(root: Path) -> str:
    """For a folder called "train": that the other parts lie next to it and are not used; "" if there are none."""
    if part_of(root.resolve().name) != "train":
        return ""
    parts = [path.name for path in _folders_beside(root) if part_of(path.name) in ("val", "test")]
    if not parts:
        return ""
    lie, are = ("lies", "is") if len(parts) == 1 else ("lie", "are")
    command = f"foveola train {quoted(root.resolve().parent)}"
    return f"{listed(parts)} {lie} next to this folder and {are} not used ({command} uses all)"


def _folders_beside(root: Path, most: int = 50) -> list[Path]:
    """The folders in the folder above, the named one with them; none where that can't be read."""
    above = root.resolve().parent
    try:
        return [path for path in sorted(above.iterdir())[:most] if path.is_dir()] if above != above.parent else []
    except OSError:
        return []


def _holds_images(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(looks_like_image(entry.name) for entry in itertools.islice(entries, 20))
    except OSError:
        return False
