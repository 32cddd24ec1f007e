"""Runs the course's notebooks for `scripts/docs`, each in a kernel of its own, and keeps their pages.

A notebook that was run is kept in build/course under a key of its text, foveola's code, and the FOVEOLA_COURSE variables with
which it ran: together the six take a quarter of an hour on two cores, and a change to a page of text asks for none of it.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

SHORTER = {
    "each=200": "each=20",
    'size, epochs = "224x224", 40': 'size, epochs = "64x64", 2',
    "epochs = 40": "epochs = 2",
    "epochs = 14": "epochs = 1",
    "seeds, epochs = 5, 4": "seeds, epochs = 2, 1",
}
"""What stands in the lessons, and what a short run has for it: tests, and `scripts/docs --small`."""


def shorter(text: str) -> str:
    """A lesson's text with few images and epochs."""
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    return text


KEPT = ROOT / "build" / "course"


def surroundings() -> dict[str, str]:
    """The variables of the environment that decide what the notebooks show."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("FOVEOLA_COURSE")}


def rendered(source: Path, again: bool, short: bool = False) -> Path:
    """The folder with a notebook's page and figures; it is run in a kernel of its own unless that was done before.

    short: on few images.
    """
    digest = hashlib.sha256(f"{surroundings()}{short}".encode())
    for path in (Path(__file__), source, *sorted((ROOT / "src").rglob("*.py"))):
        digest.update(path.read_bytes())
    place = KEPT / f"{source.stem}-{digest.hexdigest()[:16]}"
    if again or not place.exists():
        started, unfinished = time.monotonic(), KEPT / f"{source.stem}-unfinished"
        for old in (place, unfinished):
            shutil.rmtree(old, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _run(source, unfinished, short)
        unfinished.rename(place)
        print(f"docs: {source.name} ran in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return place


def _run(source: Path, out: Path, short: bool) -> None:
    import jupytext
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    text = source.read_text("utf-8")
    notebook = jupytext.reads(shorter(text) if short else text, "py:percent")
    NotebookClient(notebook, timeout=3600, kernel_name="python3").execute(cwd=str(ROOT))
    text, resources = MarkdownExporter().from_notebook_node(notebook)
    for name, data in resources["outputs"].items():
        (out / f"{source.stem}-{name}").write_bytes(data)
        text = text.replace(f"![png]({name})", f"![{_drawn_by(notebook, name)}]({source.stem}-{name})")
    (out / f"{source.stem}.md").write_text(text, "utf-8")


def _drawn_by(notebook: Any, name: str) -> str:
    """What stands for a figure that can't be seen, from its file's name, output_CELL_OUTPUT.png: the call that drew it."""
    call = ast.unparse(ast.parse(notebook.cells[int(name.split("_")[1])].source).body[-1])
    return "figure of " + call.replace("[", "(").replace("]", ")")
