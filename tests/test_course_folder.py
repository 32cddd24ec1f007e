"""`foveola course`: the notebooks, recipes and pages that a folder gets."""

import json
import re
from pathlib import Path

import jupytext
import nbformat
import pytest

from foveola import workflows
from foveola.errors import UsageError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("course") / "mine"
    workflows.write_course(place)
    return place


def test_there_is_a_notebook_for_each_part_of_the_course(folder):
    assert sorted(path.stem for path in folder.glob("*.ipynb")) == sorted(
        path.stem for path in (ROOT / "course").glob("[0-9]*.py")
    )


@pytest.mark.parametrize("source", sorted((ROOT / "course").glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_a_notebook_has_the_cells_that_jupytext_reads(folder, source):
    found = nbformat.read(folder / f"{source.stem}.ipynb", as_version=4)
    nbformat.validate(found)
    expected = jupytext.read(source)
    assert [(cell.cell_type, cell.source) for cell in found.cells] == [
        (cell.cell_type, cell.source) for cell in expected.cells
    ]


def test_recipes_and_documentation_come_too_and_their_links_lead_to_files(folder):
    assert {path.name for path in (folder / "examples").iterdir()} == {
        path.name for path in (ROOT / "examples").iterdir()
    }
    broken = []
    for page in (folder / "docs").rglob("*.md"):
        targets = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
        broken += [(page.name, t) for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert broken == []


def test_a_folder_with_files_is_left_as_it_is(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="already contains files"):
        workflows.write_course(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_every_notebook_can_be_read_as_json(folder):
    assert all(json.loads(path.read_text("utf-8"))["nbformat"] == 4 for path in folder.glob("*.ipynb"))
