import io
import struct

import numpy as np
import pytest
from PIL import Image as pillow

from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.types import Size

COMPRESSIONS = ["tiff_lzw", "tiff_adobe_deflate", "packbits"]


@pytest.fixture
def tiff(scene):
    """A TIFF of one strip, and where its byte count stands."""

    def make(compression):
        out = io.BytesIO()
        pillow.fromarray(scene(5)).save(out, "TIFF", compression=compression)
        data = out.getvalue()
        with pillow.open(io.BytesIO(data)) as picture:
            (count,) = picture.tag_v2[279]
        return data, data.rfind(struct.pack("<HHII", 279, 4, 1, count)) + 8, count

    return make


def with_count(data, at, count):
    return data[:at] + struct.pack("<I", count) + data[at + 4 :]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_last_strip_that_is_said_to_be_longer_than_the_file_is_read(tiff, scene, compression):
    data, at, count = tiff(compression)
    wrong = with_count(data, at, count + 100_000)
    decoded = images.decode(wrong)
    assert np.array_equal(decoded.image, scene(5))
    assert decoded.notes == ("TIFF with a wrong length of its last strip, but with all pixels",)
    assert decoded.stored_bytes == len(wrong)
    assert np.array_equal(
        images.decode_and_resize(wrong, Size(16, 16)).image, images.decode_and_resize(data, Size(16, 16)).image
    )


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_strip_that_lacks_bytes_is_refused(tiff, compression):
    data, at, count = tiff(compression)
    with pytest.raises(ImageProblem):
        images.decode(with_count(data, at, count - 50))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_strip_at_the_end_of_a_file_that_is_cut_is_refused(tiff, compression):
    """The table is written first, as many programs have it, and the file is cut within the strip."""
    data, _, count = tiff(compression)
    (start,) = struct.unpack_from("<I", data, 4)
    strip = data[8 : 8 + count]
    moved = 8 + len(data) - start
    table = bytearray(data[start:])
    for entry in range(2, 2 + 12 * struct.unpack_from("<H", table)[0], 12):
        tag, _, n = struct.unpack_from("<HHI", table, entry)
        place = struct.unpack_from("<I", table, entry + 8)[0]
        if tag == 273:
            struct.pack_into("<I", table, entry + 8, moved)
        elif place >= start and n > 1:  # values behind the table
            struct.pack_into("<I", table, entry + 8, place - start + 8)
    whole = data[:4] + struct.pack("<I", 8) + bytes(table) + strip
    images.decode(whole)
    for lost in (30, count // 2):
        with pytest.raises(ImageProblem):
            images.decode(whole[:-lost])
