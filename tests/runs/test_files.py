"""How often test was opened: counted on the disk, by lines that are there whole or not at all."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from foveola.errors import ResourceError
from foveola.runs.files import TEST_USES, count_test_uses, record_test_use


def test_training_is_the_first_opening(tmp_path):
    assert count_test_uses(tmp_path) == 1


def test_every_later_one_leaves_a_line_with_time_and_who(tmp_path):
    assert [record_test_use(tmp_path, "evaluate") for _ in range(3)] == [2, 3, 4]
    lines = [json.loads(line) for line in (tmp_path / TEST_USES).read_text().splitlines()]
    assert [line["by"] for line in lines] == ["evaluate"] * 3
    assert all(line["when"].endswith("+00:00") for line in lines)


def test_openings_at_the_same_time_are_all_counted(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: record_test_use(tmp_path, "evaluate"), range(64)))
    assert count_test_uses(tmp_path) == 65


def test_a_folder_that_takes_no_line_is_an_error_and_not_an_opening_in_silence(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ResourceError, match=r"^can't write .*test_opened_again.jsonl"):
        record_test_use(tmp_path / "run", "evaluate")
