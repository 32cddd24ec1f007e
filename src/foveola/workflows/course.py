"""`course`: write the notebooks, example recipes and documentation into a folder.

They come with the package. Notebooks are kept as Python files with cells marked by `# %%` and written as .ipynb here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import foveola
from foveola.errors import UsageError
from foveola.storage import output_folder

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


@dataclass(frozen=True)
class CourseFiles:
    """The result of `write_course`: the notebooks, in the order of the course."""

    notebooks: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola course --json` prints."""
        return {"notebooks": [str(path) for path in self.notebooks]}


def write_course(folder: str | os.PathLike[str]) -> CourseFiles:
    """Write the notebooks of the course, the example recipes and the documentation into a new folder.

    An interrupted or failed call leaves nothing. Raises UsageError if the folder holds files, ResourceError if the disk is
    full or not writable.
    """
    written = []
    with output_folder(Path(folder)) as place:
        for source in sorted(_material("course").glob("[0-9]*.py")):
            target = place / f"{source.stem}.ipynb"
            target.write_text(json.dumps(notebook(source.read_text("utf-8")), indent=1), "utf-8")
            written.append(target)
        for name in ("examples", "docs"):
            shutil.copytree(_material(name), place / name)
        for page in (place / "docs").rglob("*.md"):
            page.write_text(_with_links_that_lead_somewhere(page), "utf-8")
    return CourseFiles(tuple(written))


def _with_links_that_lead_somewhere(page: Path) -> str:
    """A page's text whose links to sources of notebooks lead to the notebooks; a link to what is not there becomes text."""

    def changed(found: re.Match[str]) -> str:
        words, target, _ = found.groups()
        notebook = re.sub(r"^(\.\./\.\./)course/(\w+)\.py$", r"\1\2.ipynb", target)
        if "://" in target or (page.parent / notebook).exists():
            return found[0].replace(target, notebook)
        return words

    return LINK.sub(changed, page.read_text("utf-8"))


def notebook(text: str) -> dict[str, Any]:
    """A Python file with cells marked by `# %%` (text cells: `# %% [markdown]`) as a notebook of format 4.5.

    >>> cells = notebook("# %% [markdown]\\n# # Title\\n#\\n# Text.\\n\\n# %%\\n1 + 1\\n")["cells"]
    >>> [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    [('markdown', '# Title\\n\\nText.'), ('code', '1 + 1')]
    """
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [_cell(number, is_text, lines) for number, (is_text, lines) in enumerate(_cells(text), 1)]
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _cells(text: str) -> Iterator[tuple[bool, list[str]]]:
    """Each cell: whether it is text, and its lines without the blank ones around it. What precedes the first is no cell."""
    for cell in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]:
        mark, _, body = cell.partition("\n")
        is_text = mark.strip() == "[markdown]"
        lines = body.strip("\n").split("\n")
        yield is_text, [re.sub(r"^# ?", "", line) for line in lines] if is_text else lines


def _cell(number: int, is_text: bool, lines: list[str]) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": "markdown" if is_text else "code",
        "id": f"cell-{number}",
        "metadata": {},
        "source": [line + "\n" for line in lines[:-1]] + lines[-1:],
    }
    return cell if is_text else {**cell, "execution_count": None, "outputs": []}


def _material(name: str) -> Path:
    """A folder that comes with the package: inside it where it is installed, next to `src` in a checkout."""
    package = Path(foveola.__file__).parent
    for place in (package / "material" / name, package.parents[1] / name):
        if place.is_dir():
            return place
    raise UsageError(f"this installation of foveola has no folder '{name}': install it again with pip")
