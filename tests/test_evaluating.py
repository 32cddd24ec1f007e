"""What `evaluate` says of data that the run knows already, and of data that is all new."""

import json
import shutil

import numpy as np
import pytest

import foveola as fv
from foveola import workflows
from foveola.errors import DamagedRunError, DataError
from foveola.evaluation.headline import trained_on
from foveola.runs.files import count_test_uses

SHORT = {"fit.epochs": 1, "fit.batch_size": 8, "model.name": "fast", "data.size": "32x32"}


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """A folder of two classes with 20 textured images each, and a run on it."""
    import cv2

    from foveola.imaging.decode import encode

    base = tmp_path_factory.mktemp("evaluating")

    def picture(number, side=64):
        rng = np.random.default_rng([number, 77])
        image = np.full((side, side, 3), 128, np.float32)
        for cells, strength in ((4, 50), (10, 40), (24, 25)):
            coarse = rng.normal(0, strength, (cells, cells, 3)).astype(np.float32)
            image += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        return np.clip(image, 0, 255).astype(np.uint8)

    for k, name in enumerate(("cat", "dog")):
        (base / "data" / name).mkdir(parents=True)
        for i in range(20):
            (base / "data" / name / f"{i}.png").write_bytes(encode(picture(100 * k + i)))
    run = fv.train(base / "data", settings=SHORT, out=base / "run")
    return base, run, picture


@pytest.fixture
def run(pairs, tmp_path):
    """A copy of the run, so that no test counts another's uses of the test set."""
    return fv.open_run(shutil.copytree(pairs[1].path, tmp_path / "run"))


def parts_of(run):
    seen = run.seen_images
    return {name: int(part) for name, part in zip(seen.ids, seen.parts, strict=True)}


def renamed(folder, target, change=lambda image: image, suffix=".png"):
    """All images of a folder under other names, changed: the new names by the old ones."""
    import cv2

    new = {}
    for k, path in enumerate(sorted(folder.rglob("*.png"))):
        place = target / path.parent.name / f"IMG_{9000 + k}{suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), change(cv2.imread(str(path))))
        new[f"{path.parent.name}/{path.name}"] = f"{place.parent.name}/{place.name}"
    return new


def changes():
    import cv2

    return {
        "renamed": (lambda image: image, ".png"),
        "saved again": (lambda image: image, ".jpg"),
        "in another format": (lambda image: image, ".bmp"),
        "resized": (lambda image: cv2.resize(image, (48, 48), interpolation=cv2.INTER_AREA), ".png"),
        "enlarged": (lambda image: cv2.resize(image, (100, 100), interpolation=cv2.INTER_CUBIC), ".jpg"),
        "mirrored": (lambda image: image[:, ::-1], ".jpg"),
    }


@pytest.mark.parametrize("change", ["renamed", "saved again", "in another format", "resized", "enlarged", "mirrored"])
def test_copies_of_the_training_images_are_counted_and_left_out(pairs, run, tmp_path, change):
    new = renamed(pairs[0] / "data", tmp_path / "other", *changes()[change])
    found = workflows.evaluate(run, tmp_path / "other")
    parts = parts_of(run)
    expected = {new[name] for name, part in parts.items() if part in (0, 1)}
    assert {name for name, known in zip(found.ids, found.trained_on, strict=True) if known} == expected
    assert set(found.without_trained_on.ids) == {new[name] for name, part in parts.items() if part == 2}
    originals = {new[name]: name for name in parts}
    assert all(copy in ("", originals[name]) for copy, name in zip(found.copy_of, found.ids, strict=True))


def test_strangers_are_not_taken_for_training_images(pairs, run, plant, tmp_path):
    strangers = {
        f"{name}/{i}.png": pairs[2](5000 + 100 * k + i) for k, name in enumerate(("cat", "dog")) for i in range(20)
    }
    found = workflows.evaluate(run, plant(tmp_path / "field", strangers))
    assert not found.trained_on.any()
    assert found.without_trained_on is None
    assert set(found.copy_of) == {""}


def test_measuring_on_strangers_does_not_use_the_test_set(pairs, run, plant, tmp_path):
    strangers = {
        f"{name}/{i}.png": pairs[2](6000 + 100 * k + i) for k, name in enumerate(("cat", "dog")) for i in range(5)
    }
    found = workflows.evaluate(run, plant(tmp_path / "field", strangers))
    assert (found.used_test, count_test_uses(run.path)) == (False, 1)


def test_measuring_on_a_renamed_copy_of_the_test_set_uses_it(pairs, run, tmp_path):
    renamed(pairs[0] / "data", tmp_path / "other")
    found = workflows.evaluate(run, tmp_path / "other")
    assert (found.used_test, count_test_uses(run.path)) == (True, 2)


def test_a_run_without_fingerprints_is_damaged(pairs, run, tmp_path):
    (run.path / "fingerprints.npz").unlink()
    renamed(pairs[0] / "data", tmp_path / "other")
    with pytest.raises(DamagedRunError, match=r"its fingerprints\.npz can't be read; train again"):
        workflows.evaluate(run, tmp_path / "other")


def test_measuring_and_drawing_say_how_the_folders_are_read(pairs, run, tmp_path):
    renamed(pairs[0] / "data", tmp_path / "set" / "train" / "images")
    told = fv.show_data(tmp_path / "set", tmp_path / "figures").notes
    found = workflows.evaluate(run, tmp_path / "set")
    assert told and told == found.notes == fv.check(tmp_path / "set").remarks[: len(told)]
    assert found.to_json()["notes"] == list(told)


def test_damaged_fingerprints_are_refused(pairs, run, tmp_path):
    file = run.path / "fingerprints.npz"
    file.write_bytes(file.read_bytes()[:200])
    renamed(pairs[0] / "data", tmp_path / "other")
    with pytest.raises(DamagedRunError, match=r"its fingerprints\.npz can't be read; train again"):
        workflows.evaluate(run, tmp_path / "other")


def test_the_json_of_a_leaky_data_set(pairs, run, tmp_path):
    new = renamed(pairs[0] / "data", tmp_path / "other", *changes()["saved again"])
    found = workflows.evaluate(run, tmp_path / "other")
    numbers = json.loads(json.dumps(found.to_json()))
    n = sum(part in (0, 1) for part in parts_of(run).values())
    assert (numbers["n_trained_on"], numbers["without_trained_on"]["n_test"]) == (n, 40 - n)
    assert numbers["without_trained_on"]["test_accuracy"] == found.without_trained_on.accuracy
    assert len(numbers["trained_on"]) == n
    assert all(new[line["copy_of"]] == line["file"] for line in numbers["trained_on"])


def test_what_is_made_of_a_training_image_by_its_name_counts_too(pairs, run, plant, tmp_path):
    parts = parts_of(run)
    trained = next(name for name, part in parts.items() if part == 0)
    original = (pairs[0] / "data" / trained).read_bytes()
    files = {
        "cat/1.png": original,
        "cat/1_mask.png": pairs[2](7001),
        "dog/2.png": pairs[2](7002),
        "dog/3.png": pairs[2](7003),
    }
    found = workflows.evaluate(run, plant(tmp_path / "field", files))
    assert dict(zip(found.ids, found.copy_of, strict=True)) == {
        "cat/1.png": trained, "cat/1_mask.png": trained, "dog/2.png": "", "dog/3.png": ""
    }  # fmt: skip


def test_predictions_of_labelled_folders_are_measured_without_training_images(pairs, run, tmp_path):
    new = renamed(pairs[0] / "data", tmp_path / "other", *changes()["mirrored"])
    answers = fv.predict(run, tmp_path / "other")
    parts = parts_of(run)
    known = {new[name] for name, part in parts.items() if part in (0, 1)}
    assert {"/".join(one.file.split("/")[-2:]) for one in answers if one.copy_of} == known
    found = answers.by_folder()
    assert (len(found), len(found.without_trained_on)) == (40, 40 - len(known))
    assert found.accuracy == workflows.evaluate(run, tmp_path / "other").accuracy
    lines, numbers = answers.notes, answers.to_json()["by_folder"]
    assert lines[0].startswith("with the folder names as true classes: test accuracy ")
    assert lines[1].startswith(
        f"the network was trained on {len(known)} of these 40 images, or on near-duplicates of them; without them: "
    )
    assert numbers["n_trained_on"] == len(known)


def test_single_images_are_looked_up_only_when_asked(pairs, run, tmp_path):
    trained = next(name for name, part in parts_of(run).items() if part == 0)
    shutil.copy(pairs[0] / "data" / trained, tmp_path / "photo.png")
    assert fv.predict(run, tmp_path / "photo.png")[0].copy_of is None
    answers = fv.predict(run, tmp_path / "photo.png", recognise=True)
    assert (answers[0].copy_of, answers.by_folder()) == (trained, None)
    assert answers.notes == ("the network was trained on this image, or on a near-duplicate of it",)


def field(pairs, names, n=6, start=8000):
    return {f"{name}/{i}.png": pairs[2](start + 100 * k + i) for k, name in enumerate(names) for i in range(n)}


def test_images_of_one_class_can_be_measured(pairs, run, plant, tmp_path):
    found = workflows.evaluate(run, plant(tmp_path / "field", field(pairs, ["cat"])))
    assert (len(found), found.counts.tolist(), found.standing) == (6, [6, 0], None)
    assert found.accuracy == found.per_class[0].recall


@pytest.mark.parametrize("folder", ["dog", "bird"])
def test_an_empty_class_folder_asks_for_nothing(pairs, run, plant, tmp_path, folder):
    place = plant(tmp_path / "field", field(pairs, ["cat"]))
    (place / folder).mkdir()
    assert workflows.evaluate(run, place).counts.tolist() == [6, 0]


def test_a_class_whose_images_are_all_damaged_is_listed_and_the_others_are_measured(pairs, run, plant, tmp_path):
    place = plant(tmp_path / "field", {**field(pairs, ["cat"]), "dog/1.png": b"", "dog/2.png": b""})
    found = workflows.evaluate(run, place)
    assert found.counts.tolist() == [6, 0]
    assert [problem.file for problem in found.problems] == ["dog/1.png", "dog/2.png"]


@pytest.mark.parametrize("inside", ["", "more/", "2024/field/"])
def test_class_folders_are_found_at_any_depth_by_the_network_s_class_names(pairs, run, plant, tmp_path, inside):
    files = {f"{inside}{name}": image for name, image in field(pairs, ["cat", "dog"]).items()}
    assert workflows.evaluate(run, plant(tmp_path / "field", files)).counts.tolist() == [6, 6]


def test_a_class_folder_itself_can_be_measured(pairs, run, plant, tmp_path):
    place = plant(tmp_path / "field", field(pairs, ["cat"])) / "cat"
    assert workflows.evaluate(run, place).counts.tolist() == [6, 0]


def test_images_without_class_folders_can_t_be_measured(pairs, run, plant, tmp_path):
    images = {name.partition("/")[2]: image for name, image in field(pairs, ["cat"]).items()}
    with pytest.raises(DataError, match="contains 6 images but no class folders"):
        workflows.evaluate(run, plant(tmp_path / "field", images))


def test_a_folder_without_one_usable_image_is_refused(run, plant, tmp_path):
    place = plant(tmp_path / "field", {"cat/1.png": b"", "cat/2.png": b""})
    with pytest.raises(DataError) as refused:
        workflows.evaluate(run, place)
    assert str(refused.value) == "field contains no usable image: none of the 2 files can be used: empty file"


def test_arrays_of_one_class_can_be_measured(pairs, run):
    images = np.stack([pairs[2](8800 + i) for i in range(4)])
    data = fv.from_arrays(images, [1] * 4, class_names=["cat", "dog"])
    assert workflows.evaluate(run, data).counts.tolist() == [0, 4]


def test_one_class_can_be_checked_shown_and_laid_out(pairs, run, plant, tmp_path):
    place = plant(tmp_path / "field", field(pairs, ["cat"], 30))
    checked = fv.check(place)
    assert (checked.files_used, [finding.kind for finding in checked.findings]) == (30, [])
    assert checked.remarks == ("the search for wrong labels was skipped: all images have the same label",)
    fv.show_data(place, tmp_path / "figures")
    assert (tmp_path / "figures").is_dir()
    fv.explain(run, place, tmp_path / "map.png", "embedding")
    assert (tmp_path / "map.png").is_file()


def test_a_folder_of_images_can_be_checked(pairs, plant, tmp_path):
    images = {name.partition("/")[2]: image for name, image in field(pairs, ["cat"]).items()}
    assert fv.check(plant(tmp_path / "field", {**images, "copy.png": images["3.png"]})).headline.startswith("field: 7 ")


def test_check_reports_a_class_without_a_usable_image(pairs, plant, tmp_path):
    place = plant(tmp_path / "field", {**field(pairs, ["cat", "dog"], 20), "owl/1.png": b""})
    (place / "yak").mkdir()
    found = fv.check(place, out=tmp_path / "check.html").findings
    assert ("imbalance", "error", "no usable image of 'owl', 'yak'") in [
        (finding.kind, finding.severity, finding.message) for finding in found
    ]
    assert "yak" in (tmp_path / "check.html").read_text("utf-8")


@pytest.mark.parametrize("names", [["cat"], ["cat", "dog"]])
def test_training_still_needs_two_classes_with_images(pairs, plant, tmp_path, names):
    images = np.stack([pairs[2](i) for i in range(6)])
    with pytest.raises(DataError):
        fv.train(fv.from_arrays(images, [0] * 6, class_names=names), settings=SHORT, out=tmp_path / "none")


def numbers(n, rest=None, n_test=120):
    return {"n_test": n_test, "n_trained_on": n, "without_trained_on": rest}


REST = {
    "n_test": 24, "test_accuracy": 22 / 24, "test_accuracy_low": 0.7415, "test_accuracy_high": 0.9768,
    "per_class": [{"name": "cat", "support": 12}, {"name": "dog", "support": 12}],
}  # fmt: skip


def test_the_line_about_images_that_were_trained_on():
    assert trained_on(numbers(96, REST)) == (
        "the network was trained on 96 of these 120 images, or on near-duplicates of them; without them: test accuracy "
        "91.7 % (95 % "
        "interval 74.2 to 97.7 %, n = 24); always predicting 'cat' would give 50.0 %"
    )
    assert trained_on(numbers(1, {**REST, "n_test": 24}, 25)).startswith(
        "the network was trained on 1 of these 25 images, or on a near-duplicate of it; without it: test accuracy 91.7 %"
    )
    assert trained_on(numbers(120)) == (
        "the network was trained on all 120 images, or on near-duplicates of them: this accuracy says nothing about new "
        "images"
    )
    assert trained_on(numbers(1, None, 1)) == (
        "the network was trained on this image, or on a near-duplicate of it: this accuracy says nothing about new images"
    )
    assert trained_on(numbers(0)) == trained_on(numbers(None)) == ""
