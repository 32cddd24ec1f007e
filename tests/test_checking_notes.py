"""Planted oddities: images hard to see, classes unlike in number, formats, leaks to val; each is found with its files."""

import sys

import cv2
import numpy as np
import pytest
from PIL import Image

import foveola as fv

SIDE = 64


def soft(image):
    """The image blurred, with as much contrast as the others."""
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 5)
    return np.clip((image - image.mean()) / image.std() * 50 + 128, 0, 255).astype(np.uint8)


def messages(root, kind):
    """{message: its files} of one kind."""
    return {found.message: found.ids for found in fv.check(root, suspects=False).findings if found.kind == kind}


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (lambda image: np.full_like(image, 90), "1 image blank: a single colour"),
        (lambda image: image // 10, "1 image very dark"),
        (lambda image: 255 - image // 10, "1 image very bright"),
        (soft, "1 image blurred compared with the others"),
        (
            lambda image: cv2.resize(image, (12, 12), interpolation=cv2.INTER_AREA),
            "1 image much smaller than the others",
        ),
        (lambda image: cv2.resize(image, (256, 32)), "1 image with an extreme aspect ratio"),
    ],
    ids=["blank", "dark", "bright", "blurred", "small", "long"],
)
def test_a_picture_that_is_hard_to_see_is_found_and_no_other(tmp_path, plant, scene, odd, message):
    files = {f"{'ab'[n % 2]}/{n:02d}.png": scene(n) for n in range(40)}
    assert messages(plant(tmp_path / "clean", files), "quality") == {}
    found = messages(plant(tmp_path / "odd", {**files, "a/odd.png": odd(scene(90))}), "quality")
    assert found == {message: ("a/odd.png",)}


def test_classes_unlike_in_number_are_told_with_what_guessing_gives(tmp_path, plant, scene):
    files = {f"a/{n:02d}.png": scene(n) for n in range(44)} | {f"b/{n:02d}.png": scene(50 + n) for n in range(4)}
    assert list(messages(plant(tmp_path / "pets", files), "imbalance")) == [
        "class 'a' has 11.0 times as many images as 'b' (44 and 4): always predicting 'a' is right for 91.7 %",
        "1 class with fewer than 20 images: 'b' (4)",
    ]


def test_a_class_without_a_usable_image_is_not_compared_with_the_others(tmp_path, plant, scene):
    root = plant(tmp_path / "pets", {f"dog/{n:02d}.png": scene(n) for n in range(20)})
    (root / "cat").mkdir()
    (root / "cat" / "cut.png").write_bytes((root / "dog" / "00.png").read_bytes()[:100])
    assert list(messages(root, "imbalance")) == ["no usable image of 'cat'"]


def test_a_part_without_a_class_is_told(tmp_path, plant, scene):
    names = [f"{where}/{n:02d}.png" for where in ("train/a", "train/b", "test/a") for n in range(20)]
    found = messages(plant(tmp_path / "pets", {name: scene(k) for k, name in enumerate(names)}), "imbalance")
    assert list(found) == ["the test set has no image of 'b'"]


def test_few_levels_are_told_once(tmp_path, plant, scene):
    root = plant(tmp_path / "pets", {f"{'ab'[n % 2]}/{n:02d}.png": scene(n) for n in range(2)})
    for n in range(20):
        cv2.imwrite(str(root / "ab"[n % 2] / f"{n:02d}.png"), scene(n)[..., 0].astype(np.uint16) * 16)
    checked = fv.check(root, suspects=False)
    told = [*(one.message for one in checked.findings), *checked.remarks]
    assert sum("of 256 levels" in line for line in told) == 1


def test_turned_deep_transparent_and_misnamed_files_are_told(tmp_path, plant, scene):
    root = plant(tmp_path / "pets", {f"{'ab'[n % 2]}/{n:02d}.png": scene(n) for n in range(40)})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene(50)).save(root / "a" / "turned.jpg", exif=exif)
    cv2.imwrite(str(root / "a" / "deep.png"), scene(51)[..., 0].astype(np.uint16) * 257)
    Image.fromarray(np.dstack([scene(52), np.full((SIDE, SIDE), 128, np.uint8)])).save(root / "b" / "clear.png")
    Image.fromarray(scene(53)).save(root / "b" / "named.jpg", format="PNG")
    found = messages(root, "format")
    assert {message.partition(":")[0]: ids for message, ids in found.items() if len(ids) == 1} == {
        "rotated upright by the EXIF orientation": ("a/turned.jpg",),
        "16-bit samples reduced to 8 bits": ("a/deep.png",),
        "transparency replaced by white": ("b/clear.png",),
        "1 file has an extension that does not match the content; foveola goes by the content": ("b/named.jpg",),
    }


def deep(number):
    """12 bits in samples of 16: an X-ray as programs save it that know of 8 or 16 bits only."""
    values = np.random.default_rng(number).integers(0, 4096, (SIDE, SIDE)).astype(np.uint16)
    return cv2.imencode(".png", values)[1].tobytes()


def test_images_that_come_to_few_levels_are_a_warning_and_a_note_of_training(tmp_path, plant):
    files = {f"{'ab'[n % 2]}/{n:02d}.png": deep(n) for n in range(24)}
    root = plant(tmp_path / "x-rays", files)
    message = (
        "24 images with 16-bit samples use only 16 of 256 levels for 99 % of the pixels after conversion to 8 bits"
    )
    [found] = [f for f in fv.check(root, suspects=False).findings if f.message == message]
    assert (found.severity, len(found.ids)) == ("warning", 24)
    run = fv.train(root, model="fast", epochs=1, size="32", out=tmp_path / "run")
    assert f"{message}; foveola check says what to do" in run.card.remarks


def test_val_pictures_with_a_copy_in_train_are_told(tmp_path, plant, scene):
    names = [f"{part}/{kind}/{n:02d}.png" for part in ("train", "val", "test") for kind in "ab" for n in range(20)]
    files = {name: scene(k) for k, name in enumerate(names)}
    files |= {f"val/a/copy{n}.png": scene(n) for n in range(3)}
    found = messages(plant(tmp_path / "pets", files), "split_leak")
    assert found == {
        "3 of 43 val images (7.0 %) have a copy or a derived file in train, 3 of them with identical pixels: the best "
        "epoch is chosen on images that the network was trained on, and its confidence will be too high": tuple(
            name for n in range(3) for name in (f"val/a/copy{n}.png", f"train/a/{n:02d}.png")
        )
    }


def test_heic_files_without_their_package_are_told_how_to_be_read_and_are_not_left_out(tmp_path, plant, monkeypatch):
    files = {f"{'ab'[n % 2]}/{n:02d}.png": np.full((SIDE, SIDE, 3), 9 * n, np.uint8) for n in range(8)}
    root = plant(tmp_path / "phone", files)
    (root / "a" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (root / "b" / "lost.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    found = {f.message: f for f in fv.check(root, suspects=False).findings if f.kind == "damaged"}
    assert list(found) == [
        "1 of 10 files can't be used: a Git-LFS pointer, not the image: run git lfs pull (1)",
        "1 of 10 files can't be read without the package for HEIC",
    ]
    heic = found["1 of 10 files can't be read without the package for HEIC"]
    assert heic.advice == 'install it: pip install "foveola[heic]"; foveola uses all other images'
    assert (heic.ids, heic.leave_out) == (("a/IMG_1.HEIC",), ())


def test_copies_are_counted_in_plain_words(tmp_path, plant, scene):
    files = {f"{'ab'[n % 2]}/{n:02d}.png": scene(n) for n in range(20)}
    files |= {
        "a/again.png": scene(0),
        "b/again.png": scene(1),
        "a/mirrored.png": np.ascontiguousarray(scene(2)[:, ::-1]),
    }
    root = plant(tmp_path / "pets", files)
    assert list(messages(root, "exact_duplicate")) == [
        "4 files show only 2 different images (identical pixels): 2 of them are copies"
    ]
    assert list(messages(root, "near_duplicate")) == [
        "2 images are near-duplicates of only 1 original: saved again, resized, slightly cropped, or with other brightness "
        "or colours; 1 pair mirrored or rotated"
    ]
