import io

import pytest
from PIL import Image as pillow

from foveola.imaging import decode as images


def saved(scene, **options):
    out = io.BytesIO()
    pillow.fromarray(scene(1)).save(out, **{"format": "JPEG", **options})
    return images.decode(out.getvalue()).quality


@pytest.mark.parametrize("quality", [20, 30, 50, 75, 90, 95, 100])
def test_the_quality_that_a_jpeg_was_saved_with_is_told_from_its_table(scene, quality):
    assert saved(scene, quality=quality) == pytest.approx(quality, abs=1.5)
    assert saved(scene, quality=quality, progressive=True) == saved(scene, quality=quality)


def test_it_does_not_depend_on_what_the_image_shows(scene):
    out = io.BytesIO()
    pillow.new("RGB", (64, 64), "grey").save(out, "JPEG", quality=40)
    assert images.decode(out.getvalue()).quality == saved(scene, quality=40)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP"])
def test_other_formats_have_none(scene, format):
    assert saved(scene, format=format) == 0
