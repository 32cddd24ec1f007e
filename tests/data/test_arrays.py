import numpy as np
import pytest

from foveola.data.arrays import from_arrays
from foveola.errors import DataError


def pixels(n, height=6, width=5, channels=3, seed=0):
    shape = (n, height, width, channels) if channels else (n, height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def refusal(*args, **kwargs):
    with pytest.raises(DataError) as caught:
        from_arrays(*args, **kwargs)
    return str(caught.value)


def test_pictures_and_labels_come_back_as_given():
    images = pixels(4)
    dataset = from_arrays(images, [1, 0, 2, 1])
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.labels.tolist() == [1, 0, 2, 1] and dataset.labels.dtype == np.int64
    assert all((dataset.read(i) == images[i]).all() for i in range(4))


def test_without_parts_ids_are_numbers():
    dataset = from_arrays(pixels(3), [0, 1, 0], name="mine")
    assert dataset.ids == ("00000", "00001", "00002")
    assert dataset.parts is None
    assert (dataset.name, dataset.files_found, dataset.problems, dataset.notes) == ("mine", 3, (), ())


def test_test_and_val_become_official_parts():
    dataset = from_arrays(pixels(2), [0, 1], test=(pixels(3, seed=1), [1, 1, 0]), val=(pixels(1, seed=2), [0]))
    assert dataset.parts.tolist() == [0, 0, 1, 2, 2, 2] and dataset.parts.dtype == np.int64
    assert dataset.ids == ("train/00000", "train/00001", "val/00000", "test/00000", "test/00001", "test/00002")
    assert dataset.labels.tolist() == [0, 1, 0, 1, 1, 0]


def test_parts_keep_their_own_pixels():
    train, test = pixels(2), pixels(2, seed=1)
    dataset = from_arrays(train, [0, 1], test=(test, [1, 0]))
    assert (dataset.source.pixels == np.concatenate([train, test])).all()


@pytest.mark.parametrize("channels", [0, 1])
def test_grey_is_repeated_to_three_channels(channels):
    images = pixels(2, channels=channels)
    dataset = from_arrays(images, [0, 1])
    assert dataset.read(1).shape == (6, 5, 3)
    assert all((dataset.read(1)[..., c] == images[1].reshape(6, 5)).all() for c in range(3))
    assert dataset.notes == ("grey repeated to three channels",)


def test_labels_in_a_column_are_flattened():
    assert from_arrays(pixels(3), np.array([[1], [0], [1]], np.uint8)).labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("kind", [np.str_, object])
def test_text_labels_become_classes_in_natural_order(kind):
    dataset = from_arrays(pixels(4), np.array(["10", "2", "b", "2"], kind))
    assert dataset.class_names == ("2", "10", "b")
    assert dataset.labels.tolist() == [1, 0, 2, 0]


def test_text_labels_of_all_parts_share_their_numbers():
    dataset = from_arrays(pixels(2), ["dog", "cat"], test=(pixels(2), ["ant", "dog"]))
    assert dataset.class_names == ("ant", "cat", "dog")
    assert dataset.labels.tolist() == [2, 1, 0, 2]


def test_class_names_name_numbers_and_order_text():
    assert from_arrays(pixels(2), [1, 0], ["cat", "dog"]).class_names == ("cat", "dog")
    dataset = from_arrays(pixels(2), ["cat", "dog"], ["dog", "cat"])
    assert (dataset.class_names, dataset.labels.tolist()) == (("dog", "cat"), [1, 0])


def test_the_callers_array_may_change_afterwards():
    images = pixels(2)
    before = images.copy()
    dataset = from_arrays(images, [0, 1])
    images[:] = 0
    assert (dataset.source.pixels == before).all()
    assert not dataset.source.pixels.flags.writeable


def test_the_fingerprint_is_of_pixels_labels_and_parts():
    base = from_arrays(pixels(4), [0, 1, 0, 1])
    others = [
        from_arrays(pixels(4, seed=1), [0, 1, 0, 1]),
        from_arrays(pixels(4), [0, 1, 1, 0]),
        from_arrays(pixels(4).reshape(4, 5, 6, 3), [0, 1, 0, 1]),
        from_arrays(pixels(4)[:2], [0, 1], test=(pixels(4)[2:], [0, 1])),
    ]
    assert base.fingerprint == from_arrays(pixels(4), [0, 1, 0, 1], name="other").fingerprint
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_rows_can_be_taken():
    images = pixels(4)
    part = from_arrays(images, [0, 1, 0, 1]).take(np.array([3, 1]))
    assert part.ids == ("00003", "00001")
    assert (part.read(0) == images[3]).all()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.linspace(0, 1, 60, dtype=np.float32).reshape(1, 4, 5, 3),
            "are float32 from 0 to 1: give uint8 from 0 to 255, here np.rint(images * 255).astype(np.uint8)",
        ),
        (
            np.linspace(-1, 1, 60).reshape(1, 4, 5, 3),
            "are float64 from -1 to 1: give uint8 from 0 to 255, as they were before any scaling",
        ),
        (
            np.full((1, 4, 5, 3), 300),
            "are int64 from 300 to 300: give uint8 from 0 to 255, as they were before any scaling",
        ),
        (
            np.zeros((1, 4, 5, 3), bool),
            "are bool: give uint8 from 0 to 255, as they were before any scaling",
        ),
        (np.zeros((4, 5), np.uint8), "have the shape (4, 5): give (n, h, w), (n, h, w, 1) or (n, h, w, 3)"),
        (np.zeros((2, 4, 5, 4), np.uint8), "have the shape (2, 4, 5, 4): give (n, h, w), (n, h, w, 1) or (n, h, w, 3)"),
        (
            np.zeros((2, 3, 4, 5), np.uint8),
            "have the shape (2, 3, 4, 5): give (n, h, w), (n, h, w, 1) or (n, h, w, 3), "
            "here np.moveaxis(images, 1, -1)",
        ),
        (
            np.zeros((0, 4, 5, 3), np.uint8),
            "have the shape (0, 4, 5, 3) and no pixel: give an image of each class or more",
        ),
        ([[[1, 2]], [[1]]], "have different lengths or sizes: give all of them the same size"),
    ],
)
def test_images_of_another_kind_are_refused(images, message):
    assert refusal(images, [0]) == f"arrays: the images {message}"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.eye(3), "have the shape (3, 3), a column for each class: give np.argmax(labels, axis=1)"),
        (np.int64(1), "have the shape (): give one for each image, as (n,) or (n, 1)"),
        ([0.0, 1.0, 1.0], "are float64: give whole numbers from 0, or the names of the classes as text"),
        ([True, False, True], "are bool: give whole numbers from 0, or the names of the classes as text"),
        (["a", None, "b"], "are object: give whole numbers from 0, or the names of the classes as text"),
        ([b"a", b"b", b"c"], "are |S1: give whole numbers from 0, or the names of the classes as text"),
        ([0, -1, 1], "go down to -1: number the classes from 0"),
    ],
)
def test_labels_of_another_kind_are_refused(labels, message):
    assert refusal(pixels(3), labels) == f"arrays: the labels {message}"


def test_each_picture_needs_a_label():
    assert refusal(pixels(3), [0, 1]) == ("arrays: there are 3 images and 2 labels: give one label for each image")


def test_each_test_picture_needs_a_label():
    assert refusal(pixels(2), [0, 1], test=(pixels(1), [0, 1]), name="toys") == (
        "toys: there are 1 test image and 2 test labels: give one label for each image"
    )


def test_a_part_is_named_in_its_refusals():
    assert refusal(pixels(2), [0, 1], val=(pixels(1)[0, 0], [0])) == (
        "arrays: the val images have the shape (5, 3): give (n, h, w), (n, h, w, 1) or (n, h, w, 3)"
    )
    assert refusal(pixels(2), [0, -1], val=(pixels(1), [0])) == (
        "arrays: the train labels go down to -1: number the classes from 0"
    )


def test_test_pictures_have_the_size_of_the_others():
    assert refusal(pixels(2), [0, 1], test=(pixels(1, height=7), [0])) == (
        "arrays: the train images are 5x6 (width x height) and the test images 5x7: make all images the same size"
    )


def test_numbers_and_text_do_not_mix():
    assert refusal(pixels(2), [0, 1], test=(pixels(1), ["cat"])) == (
        "arrays: some labels are numbers and some are text: give all as numbers or all as text"
    )


def test_numbers_leave_no_gap():
    assert refusal(pixels(3), [0, 4_000_000_000, 2]) == (
        "arrays: the labels go up to 4,000,000,000 and none is 1: number the 3 classes from 0 without gaps"
    )


def test_a_number_beyond_the_class_names_is_refused():
    assert refusal(pixels(3), [0, 1, 2], ["cat", "dog"]) == (
        "arrays: label 2 is beyond the 2 class names (0 to 1): add its class to class_names, or correct the label"
    )


def test_a_text_beyond_the_class_names_is_refused():
    assert refusal(pixels(3), ["cat", "cow", "dog"], ["cat", "dog"]) == (
        "arrays: label 'cow' is beyond the 2 class names (cat, dog): add its class to class_names, or correct the label"
    )


def test_class_names_are_distinct():
    assert refusal(pixels(2), [0, 1], ["cat", "cat"]) == (
        "arrays: class_names has 'cat' twice: give each class a different name"
    )


def test_a_class_without_an_image_and_one_class_alone_may_be_measured():
    assert from_arrays(pixels(2), [0, 1], class_names=["cat", "dog", "cow"]).counts().tolist() == [1, 1, 0]
    assert from_arrays(pixels(2), [0, 0]).class_names == ("0",)
