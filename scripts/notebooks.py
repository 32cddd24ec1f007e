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
KEPT = ROOT / "build" / "course"


def surroundings() -> dict[str, str]:
    """The variables of the environment that decide what the notebooks show."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("FOVEOLA_COURSE")}


def rendered(source: Path, again: bool) -> Path:
    """The folder with a notebook's page and figures; it is run in a kernel of its own unless that was done before."""
    digest = hashlib.sha256(f"{surroundings()}".encode())
    for path in (Path(__file__), source, *sorted((ROOT / "src").rglob("*.py"))):
        digest.update(path.read_bytes())
    place = KEPT / f"{source.stem}-{digest.hexdigest()[:16]}"
    if again or not place.exists():
        started, unfinished = time.monotonic(), KEPT / f"{source.stem}-unfinished"
        for old in (place, unfinished):
            shutil.rmtree(old, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _run(source, unfinished)
        unfinished.rename(place)
        print(f"docs: {source.name} ran in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return place


def _run(source: Path, out: Path) -> None:
    import jupytext
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    notebook = jupytext.read(source)
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
