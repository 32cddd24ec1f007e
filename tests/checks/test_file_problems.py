"""Findings about files follow the kind of a problem and the note of a conversion, whatever their words are."""

from dataclasses import replace

import numpy as np
import pytest

from foveola.checks.file_problems import file_findings
from foveola.data.dataset import Problem
from foveola.data.folder import open_folder
from foveola.data.prepare import FileKind, prepare
from foveola.imaging.colour import Note
from foveola.types import Size


@pytest.fixture
def prepared(tmp_path, plant):
    shades = {f"{name}/{n}.png": np.full((16, 16, 3), 20 * n, np.uint8) for name in "ab" for n in range(3)}
    return prepare(open_folder(plant(tmp_path / "shades", shades)), Size(16, 16))


def found(prepared, *problems):
    """{(message, advice): ids} with these problems in the data set."""
    dataset = replace(prepared.dataset, problems=problems, files_found=6 + len(problems))
    return {finding.message: finding.ids for finding in file_findings(replace(prepared, dataset=dataset))}


@pytest.mark.parametrize("words", ["empty file", "excluded by the list q.txt", "HEIC needs a package"])
def test_the_kind_of_a_problem_decides_what_is_reported_and_not_its_words(prepared, words):
    assert found(prepared, Problem("x", words, kind="excluded")) == {}
    assert found(prepared, Problem("x", words)) == {f"1 of 7 files can't be used: {words} (1)": ("x",)}
    assert found(prepared, Problem("x", words, kind="missing_package")) == {
        "1 of 7 files can't be read without the package for HEIC": ("x",)
    }


def test_the_causes_of_damaged_files_are_counted(prepared):
    problems = [Problem(n, f"cut short ({n} bytes)", cause="cut short") for n in ("1", "2")]
    assert list(found(prepared, *problems, Problem("3", "empty file"))) == [
        "3 of 9 files can't be used: cut short (2); empty file (1)"
    ]


@pytest.mark.parametrize("note", Note)
def test_every_conversion_of_an_image_has_an_advice(prepared, note):
    files = replace(prepared.files, kinds=(FileKind("PNG", "RGB", (note,)),), of=np.zeros(6, np.int64))
    (finding,) = file_findings(replace(prepared, files=files))
    assert (finding.kind, finding.message, finding.ids) == ("format", f"{note}: 6 images", prepared.dataset.ids)
    assert len(finding.advice.split()) > 5
