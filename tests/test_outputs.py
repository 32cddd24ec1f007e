"""One rule for outputs that exist: foveola replaces only what the user says, and leaves nothing half written."""

import shutil

import pytest

import foveola as fv
from foveola.errors import UsageError

FILES = {
    "check's page": lambda photos, out, **more: fv.check(photos, suspects=False, out=out, **more),
    "check's list": lambda photos, out, **more: fv.check(photos, suspects=False, fix=out, **more),
    "filter's image": lambda photos, out, **more: fv.filter(photos / "a" / "0.png", out, "sharpen", **more),
    "filter's figure": lambda photos, out, **more: fv.filter(
        photos / "a" / "0.png", out, "sharpen", drawing="steps", **more
    ),
}
FOLDERS = {
    "show-data's figures": lambda photos, out, **more: fv.show_data(photos, out, **more),
    "filter's images": lambda photos, out, **more: fv.filter(photos, out, "sharpen", **more),
}
NEVER_REPLACED = {
    "train's run": lambda photos, out: fv.train(photos, out=out),
    "compare's page": lambda photos, out: fv.compare(photos, ["plain", "blurred: chain=blur(size=3)"], out=out),
    "the course": lambda photos, out: fv.write_course(out),
}


@pytest.fixture
def photos(tmp_path, plant, noise):
    """Two classes of two images."""
    files = {f"{name}/{k}.png": noise(10 * n + k) for n, name in enumerate("ab") for k in range(2)}
    return plant(tmp_path / "photos", files)


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_exists_is_replaced_only_with_overwrite(photos, tmp_path, kind):
    out = tmp_path / "out.png"
    out.write_bytes(b"mine")
    with pytest.raises(UsageError) as caught:
        FILES[kind](photos, out)
    assert str(caught.value) == f"{out} already exists: choose another name, or add --overwrite to replace it"
    assert out.read_bytes() == b"mine"
    FILES[kind](photos, out, overwrite=True)
    assert out.read_bytes() != b"mine"


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_holds_files_is_used_only_with_overwrite_and_others_stay(photos, tmp_path, kind):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UsageError) as caught:
        FOLDERS[kind](photos, out)
    assert str(caught.value) == (
        f"the output folder {out} already contains files: choose a new folder, or add --overwrite to replace files of the "
        "same names"
    )
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    found = FOLDERS[kind](photos, out, overwrite=True)
    assert all(path.is_file() for path in found.written)
    assert (out / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", NEVER_REPLACED)
def test_a_run_a_comparison_and_the_course_need_a_new_or_empty_folder(tmp_path, plant, kind):
    out = plant(tmp_path / "out", {"mine.txt": "mine"})
    data = plant(tmp_path / "photos", {"a/1.png": "no image", "b/1.png": "no image"})  # not read: the refusal is first
    with pytest.raises(UsageError) as caught:
        NEVER_REPLACED[kind](data, out)
    assert (
        str(caught.value) == f"the output folder {out} already contains files: choose a new folder, or delete it first"
    )
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("existed", [True, False])
def test_a_course_that_can_not_be_written_leaves_nothing(tmp_path, monkeypatch, existed):
    out = tmp_path / "course"
    if existed:
        out.mkdir()

    def full(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(KeyboardInterrupt):
        fv.write_course(out)
    assert list(tmp_path.rglob("*")) == ([out] if existed else [])


def test_a_filtered_folder_never_replaces_its_own_images(photos):
    with pytest.raises(UsageError) as caught:
        fv.filter(photos / "a", photos, "sharpen", overwrite=True)
    assert str(caught.value) == f"the output folder {photos} contains {photos / 'a'}: choose one outside of it"


def test_a_demo_does_not_train_on_images_that_it_did_not_write(tmp_path, plant, noise):
    plant(tmp_path / "digits", {"cats/1.png": noise(1), "dogs/1.png": noise(2)})
    with pytest.raises(UsageError) as caught:
        fv.demo(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'digits'} contains something other than the demo's digits: give another folder, as in foveola demo "
        "my-folder"
    )
