import numpy as np
import pytest

from foveola.checks.shortcuts import accuracy, shortcut_findings
from foveola.data.arrays import from_arrays
from foveola.data.prepare import FileFacts, FileKind

N = 60


def findings(*, kinds=None, sizes=None, stored=None, quality=None, colours=None, names=None, group_ids=None):
    from dataclasses import replace

    rng = np.random.default_rng(0)
    labels = np.arange(N) % 2
    dataset = from_arrays(np.zeros((N, 8, 8), np.uint8), labels, ["cat", "dog"])
    dataset = replace(
        dataset, ids=tuple(names or (f"{'cat' if k == 0 else 'dog'}/{i}.png" for i, k in enumerate(labels)))
    )
    files = FileFacts(
        (FileKind("JPEG", "RGB", ()), FileKind("PNG", "L", ())),
        np.zeros(N, np.int64) if kinds is None else kinds(labels),
        rng.integers(1000, 2000, N) if stored is None else stored(labels),
        np.zeros(N, np.int16),
        np.full(N, 90, np.float32) if quality is None else quality(labels).astype(np.float32),
    )
    sizes = np.full((N, 2), 64, np.int32) if sizes is None else sizes(labels)
    colours = rng.uniform(0, 255, (N, 3)).astype(np.float32) if colours is None else colours(labels)
    return shortcut_findings(dataset, files, sizes, colours, np.arange(N) if group_ids is None else group_ids)


def test_files_that_tell_nothing_give_no_finding():
    assert findings() == []


def test_a_size_that_tells_the_class_is_an_error_that_names_it_with_its_accuracy():
    [found] = findings(sizes=lambda labels: np.stack([64 + labels, 64 + 0 * labels], axis=1).astype(np.int32))
    assert found.severity == "error"
    assert found.message == (
        "the size in pixels of a file alone predicts the class of 100.0 % of the images; the most frequent class is 50.0 % "
        "(small decision trees, cross-validated)"
    )


def test_a_format_that_mostly_tells_the_class_is_a_warning():
    def kinds(labels):
        out = labels.copy()
        out[:18] = np.arange(18) // 2 % 2  # 18 of 60 at random: 51 are as their class
        return out

    [found] = findings(kinds=kinds)
    assert found.severity in ("error", "warning")
    assert found.message.startswith("the format of a file alone predicts the class of 85.0 %")


def test_bytes_that_tell_the_class_are_a_note_for_content_decides_them():
    [found] = findings(stored=lambda labels: 1000 + 500 * labels)
    assert found.severity == "note"
    assert found.message == (
        "the size in bytes of a file alone predicts the class of 100.0 % of the images; the most frequent class is 50.0 %; "
        "format, size in pixels and JPEG quality do not predict it"
    )


def test_a_jpeg_quality_that_tells_the_class_is_an_error():
    [found] = findings(quality=lambda labels: 90 - 60 * labels, stored=lambda labels: 1000 + 500 * labels)
    assert found.severity == "error"
    assert found.message.startswith("the JPEG quality of a file alone predicts the class of 100.0 %")


def own_sizes(labels):
    """Each image has a size of its own; dogs are wider than high, cats are not."""
    side = 40 + np.arange(N)
    return np.stack([side, side + 20 * labels], axis=1).astype(np.int32)


def test_sizes_of_images_cut_out_around_things_are_a_warning_at_most():
    [found] = findings(sizes=own_sizes)
    assert found.severity == "warning"
    assert found.advice.startswith("no action needed if the images are cropped to objects")


def test_sizes_that_tell_the_class_along_with_the_format_are_an_error():
    [found] = findings(sizes=own_sizes, kinds=lambda labels: labels)
    assert found.severity == "error"


def test_copies_of_one_image_are_asked_about_once():
    """Two photos per class, fifteen times each: of two photos nothing can be told."""
    group_ids = np.arange(N) % 4
    assert (
        findings(
            stored=lambda labels: 1000 + 500 * labels, quality=lambda labels: 90 - 60 * labels, group_ids=group_ids
        )
        == []
    )


def test_facts_that_tell_the_class_only_together_are_found():
    """Cats are small PNG or large JPEG files, dogs the other way round: each fact alone is a coin's throw."""
    png = np.arange(N) // 2 % 2
    [found] = findings(
        kinds=lambda labels: png,
        sizes=lambda labels: np.stack([64 + 32 * (png ^ labels), 0 * labels + 64], axis=1).astype(np.int32),
        stored=lambda labels: 1000 + 0 * labels,
    )
    assert (found.severity, found.kind) == ("error", "shortcut")
    assert found.message == (
        "format, colour mode, size and JPEG quality of a file together predict the class of 100.0 % of the images; the most "
        "frequent class is 50.0 % (small decision trees, cross-validated)"
    )


def test_colour_is_a_note_for_it_may_be_what_the_classes_are_about():
    [found] = findings(colours=lambda labels: np.stack([200 * labels] * 3, axis=1).astype(np.float32))
    assert (found.severity, found.kind) == ("note", "shortcut")


def test_names_of_another_source_are_a_note():
    names = [f"cat/IMG_{i}.JPG" if i % 2 == 0 else f"dog/scan-{i}.png" for i in range(N)]
    [found] = findings(names=names)
    assert found.severity == "note"
    assert "'cat' as 'IMG_#.JPG'; 'dog' as 'scan-#.png'" in found.message


@pytest.mark.parametrize("name", ["{label}/{label}_{i}.png", "{label}/{label}s ({i}).png", "{label}/{i}.png"])
def test_names_that_only_repeat_the_class_are_no_finding(name):
    assert findings(names=[name.format(label=("cat", "dog")[i % 2], i=i) for i in range(N)]) == []


def test_the_accuracy_of_a_fact_that_does_not_vary_is_the_majority():
    assert accuracy(np.ones((10, 1)), np.array([0] * 7 + [1] * 3)) == 0.7
