"""The course's table, section by section: each command runs, in its order, on few pictures, and leaves what is said."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from foveola import cli
from foveola.imaging.decode import encode

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in (ROOT / "docs" / "course" / "counterparts.md").read_text("utf-8").splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| in the text"))
]
COMMANDS = [row[1].strip("`") for row in ROWS if row[1].startswith("`")]

SHORTER = {
    "train": ["--epochs", "1"],
    "compare": ["--epochs", "1", "--seeds", "2", "--set", "model.width1=8", "--set", "model.width2=8"],
}
"""What the commands of the table get here on top, so that they take seconds."""


def write_photo_pieces(folder, each):
    """Cut `each` pieces of many sizes (60 to 320 px) out of each of scikit-learn's two photos, as an image folder."""
    rng = np.random.default_rng(0)
    for name, photo in (("flower", "flower.jpg"), ("temple", "china.jpg")):
        whole = load_sample_image(photo)
        (folder / name).mkdir(parents=True)
        for number in range(each):
            height, width = rng.integers(60, 321, 2)
            top, left = rng.integers(0, whole.shape[0] - height), rng.integers(0, whole.shape[1] - width)
            piece = np.ascontiguousarray(whole[top : top + height, left : left + width])
            (folder / name / f"{number:04d}.jpg").write_bytes(encode(piece, "JPEG"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a photo, `faces` (pieces of two photos), the recipes, and what all the commands have left there."""
    folder = tmp_path_factory.mktemp("counterparts")
    (folder / "photo.jpg").write_bytes(encode(load_sample_image("china.jpg"), "JPEG"))
    write_photo_pieces(folder / "faces", 15)
    (folder / "examples").symlink_to(ROOT / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FOVEOLA_CACHE", str(tmp_path_factory.mktemp("cache")))
        for command in COMMANDS:
            words = ["digits" if word == "cifar10" else word for word in shlex.split(command)]
            patch.setattr(sys, "argv", [*words, *SHORTER.get(words[1], [])])
            with pytest.raises(SystemExit) as end:
                cli.main()
            assert not end.value.code, command
    return folder


def test_every_row_has_a_command_or_says_whose_it_shares():
    assert len(ROWS) >= 40
    assert {row[1] for row in ROWS if not row[1].startswith("`")} == {"the same", "the same run", "in the notebook"}
    assert len(COMMANDS) == len(set(COMMANDS))


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if row[2]], ids=lambda row: row[0])
def test_every_command_runs_and_leaves_what_the_row_says(place, row):
    path, heading = re.fullmatch(r'`([^`]+)`(?:, report "([^"]+)")?', row[2]).groups()
    assert (place / path).exists()
    if heading:
        assert f"{heading}</h" in (place / path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_names_a_heading_of_its_notebook(row):
    number, heading = re.fullmatch(r'(\d), "([^"]+)"', row[3]).groups()
    (notebook,) = (ROOT / "course").glob(f"{number}_*.py")
    titles = re.findall(r"^# ##? (?:\d\. )?(.+)$", notebook.read_text("utf-8"), re.MULTILINE)
    assert heading in titles
