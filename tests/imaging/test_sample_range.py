"""What samples mean: ranges that a file declares, white at zero, channels without a use; and what 8 bits cost."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image as pillow

from foveola.errors import ImageProblem
from foveola.imaging import decode as images
from foveola.imaging.colour import few_levels_note

TWELVE = np.array([[0, 15, 16, 2047], [2048, 3000, 4094, 4095]], np.uint16)
SCALED = [[0, 0, 1, 127], [128, 187, 255, 255]]  # v >> 4


@pytest.fixture(autouse=True)
def quiet():
    with images.suppress_pillow_warnings():
        yield


def grey(data):
    image = images.decode(data).image
    assert (image == image[..., :1]).all()
    return image[..., 0].tolist()


def tiff(samples, *, photometric=1, kind=1, bits=None, more=()):
    """An uncompressed little-endian TIFF; kind: 1 unsigned, 2 signed, 3 float; more: further tags as (tag, type, bytes), or
    with the number of values where it is not 1."""
    height, width = samples.shape[:2]
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    pixels = samples.tobytes()
    long = {
        256: width,
        257: height,
        273: 8,
        277: channels,
        278: height,
        279: len(pixels),
        339: kind,
        262: photometric,
        259: 1,
    }
    entries = {tag: (4, struct.pack("<I", value), 1) for tag, value in long.items()}
    depth = struct.pack(f"<{channels}H", *[bits or samples.dtype.itemsize * 8] * channels)
    entries[258] = (3, depth, channels)
    entries |= {tag: (kind, value, n) for tag, kind, value, n in ((*one, 1)[:4] for one in more)}
    at = 8 + len(pixels) + 2 + 12 * len(entries) + 4
    table, extra = b"", b""
    for tag, (form, value, n) in sorted(entries.items()):
        if len(value) > 4:
            value, extra = struct.pack("<I", at + len(extra)), extra + value
        table += struct.pack("<HHI", tag, form, n) + value.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    return head + pixels + struct.pack("<H", len(entries)) + table + bytes(4) + extra


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png16(samples, bits=0):
    """A grey PNG of 16 bits, with an sBIT chunk if `bits` are given."""
    height, width = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
    said = chunk(b"sBIT", bytes([bits])) if bits else b""
    return b"\x89PNG\r\n\x1a\n" + head + said + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def colour_png16(samples, bits=(), transparent=()):
    """A PNG of 16 bits per channel, grey and alpha, RGB or RGBA by its channels; bits: its sBIT; transparent: its tRNS."""
    height, width, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0))
    said = chunk(b"sBIT", bytes(bits)) if bits else b""
    said += chunk(b"tRNS", struct.pack(">HHH", *transparent)) if len(transparent) else b""
    return b"\x89PNG\r\n\x1a\n" + head + said + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def ushort(value):
    return struct.pack("<H", value)


# Declared ranges


def test_a_tiff_of_12_bits_is_scaled_by_12_bits():
    values = TWELVE.ravel()
    packed = bytearray()
    for a, b in zip(values[::2].tolist(), values[1::2].tolist(), strict=True):
        packed += bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255])
    data = tiff(np.frombuffer(bytes(packed), np.uint8).reshape(2, 6), bits=12)
    data = data.replace(struct.pack("<HHII", 256, 4, 1, 6), struct.pack("<HHII", 256, 4, 1, 4))
    assert grey(data) == SCALED


def test_a_tiff_that_declares_its_largest_sample_is_scaled_by_it():
    assert grey(tiff(TWELVE, more=[(341, 3, ushort(4095))])) == SCALED


def test_a_tiff_that_declares_its_smallest_sample_too_is_scaled_from_there():
    samples = np.array([[33_000, 33_016, 36_000, 37_095, 40_000, 9]], np.uint16)  # 4,096 values: 16 of them are a level
    data = tiff(samples, more=[(340, 3, ushort(33_000)), (341, 3, ushort(37_095))])
    assert grey(data) == [[0, 1, 187, 255, 255, 0]]


def test_the_range_of_an_image_s_own_statistics_does_not_count():
    assert grey(tiff(TWELVE, more=[(280, 3, ushort(0)), (281, 3, ushort(4095))])) == (TWELVE >> 8).tolist()


@pytest.mark.parametrize("largest", [0, 7])
def test_a_declared_range_without_extent_is_ignored(largest):
    data = tiff(TWELVE, more=[(340, 3, ushort(7)), (341, 3, ushort(largest))])
    assert grey(data) == (TWELVE >> 8).tolist()


def test_signed_samples_and_floats_count_where_their_range_is_declared():
    signed = np.array([[-1000, 0, 1000]], np.int16)
    said = [(340, 8, struct.pack("<h", -1000)), (341, 8, struct.pack("<h", 1047))]  # 2,048 values
    assert grey(tiff(signed, kind=2, more=said)) == [[0, 125, 250]]
    floats = np.array([[0.0, 0.25, 0.999, 1.0, 7.0, np.nan]], np.float32)
    said = [(340, 11, struct.pack("<f", 0.0)), (341, 11, struct.pack("<f", 1.0))]
    assert grey(tiff(floats, kind=3, more=said)) == [[0, 64, 255, 255, 255, 0]]


def test_signed_16_bit_samples_without_a_range_are_refused_as_what_they_are():
    with pytest.raises(ImageProblem) as caught:
        images.decode(tiff(np.zeros((2, 2), np.int16), kind=2))
    assert str(caught.value) == (
        "signed 16-bit samples have no fixed value of black: save it with unsigned 8 or 16 bits"
    )


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_png_that_declares_fewer_bits_is_scaled_by_them_if_its_samples_are_not(bits):
    values = np.random.default_rng(bits).integers(0, 2**bits, (9, 7)).astype(np.uint16)
    wanted = (values >> (bits - 8)).tolist()
    assert grey(png16(values, bits)) == wanted  # as they are
    assert grey(png16(values << (16 - bits), bits)) == wanted  # scaled as the standard wants it
    assert grey(png16(values << (16 - bits) | values >> (2 * bits - 16), bits)) == wanted  # and with repeated bits


@pytest.mark.parametrize("shift", [4, 0])
def test_a_dark_png_of_12_bits_stays_dark_if_its_samples_are_scaled(shift):
    values = np.random.default_rng(0).integers(0, 256, (9, 7)).astype(np.uint16)
    assert grey(png16(values << shift, 12)) == (values >> 4).tolist()


def test_a_png_without_a_declaration_keeps_its_high_byte():
    assert grey(png16(TWELVE)) == (TWELVE >> 8).tolist()


@pytest.fixture
def colours():
    return np.random.default_rng(2).integers(0, 4096, (9, 7, 3)).astype(np.uint16)


def test_a_colour_png_that_declares_12_bits_is_scaled_by_them_if_its_samples_are_not(colours):
    wanted = (colours >> 4).astype(np.uint8)
    for stored in (
        colours,
        colours << 4,
        colours << 4 | colours >> 8,
    ):  # as they are, and scaled as the standard wants it
        assert np.array_equal(images.decode(colour_png16(stored, (12, 12, 12))).image, wanted)


def test_one_channel_that_could_be_scaled_does_not_part_it_from_the_others(colours):
    colours[..., 1] = 16
    assert np.array_equal(images.decode(colour_png16(colours, (12, 12, 12))).image, colours >> 4)


@pytest.mark.parametrize(("most", "shown"), [(4095, 12), (65_535, 16)])
def test_alpha_of_a_12_bit_png_has_its_own_range(colours, most, shown):
    alpha = np.full((9, 7, 1), most, np.uint16)
    alpha[0, 0] = 0
    wanted = (colours >> 4).astype(np.uint8)
    wanted[0, 0] = 255
    assert np.array_equal(images.decode(colour_png16(np.dstack([colours, alpha]), (12, 12, 12, shown))).image, wanted)
    grey_alpha = np.dstack([colours[..., :1], alpha])
    assert np.array_equal(images.decode(colour_png16(grey_alpha, (12, shown))).image, wanted[..., :1].repeat(3, 2))


def test_the_transparent_colour_of_a_12_bit_png_is_laid_on_white(colours):
    wanted = (colours >> 4).astype(np.uint8)
    wanted[3, 3] = 255
    decoded = images.decode(colour_png16(colours, (12, 12, 12), colours[3, 3].tolist()))
    assert np.array_equal(decoded.image, wanted)


def test_colour_of_16_bits_without_a_declaration_keeps_its_high_byte(colours):
    for bits in ((), (16, 16, 16)):
        assert np.array_equal(images.decode(colour_png16(colours, bits)).image, colours >> 8)


def test_a_colour_tiff_that_declares_its_largest_sample_is_scaled_by_it(colours):
    data = tiff(colours, photometric=2, more=[(341, 3, ushort(4095) * 3, 3)])
    assert np.array_equal(images.decode(data).image, colours >> 4)


def test_a_colour_tiff_with_a_damaged_declaration_keeps_its_high_byte_and_says_nothing_on_stderr(colours, capfd):
    data = tiff(colours, photometric=2, more=[(341, 3, ushort(4095))])  # one value for three channels
    assert np.array_equal(images.decode(data).image, colours >> 8)
    assert capfd.readouterr().err == ""


def test_a_turned_colour_tiff_of_12_bits_is_upright(colours):
    data = tiff(colours, photometric=2, more=[(341, 3, ushort(4095) * 3, 3), (274, 3, ushort(6))])
    assert np.array_equal(images.decode(data).image, np.rot90(colours >> 4, -1))


def test_a_pgm_is_scaled_by_its_maxval():
    for most, values in ((4095, TWELVE), (1023, TWELVE >> 2)):
        data = b"P5 4 2 %d\n" % most + values.astype(">u2").tobytes()
        assert np.abs(np.array(grey(data)) - SCALED).max() <= 1


# White, alpha, frames


def test_white_is_zero_holds_for_16_bits_too():
    samples = np.array([[0, 256, 65_535]], np.uint16)
    assert grey(tiff(samples, photometric=0)) == [[255, 254, 0]]
    assert grey(tiff((samples >> 8).astype(np.uint8), photometric=0)) == [[255, 254, 0]]


def test_a_10_bit_heic_is_as_bright_as_its_picture():
    ramp = np.repeat(np.linspace(0, 65_535, 64).astype(np.uint16)[None, :, None], 64, 0).repeat(3, 2)
    out = io.BytesIO()
    pillow_heif.from_bytes(mode="RGB;16", size=(64, 64), data=ramp.tobytes()).save(out, quality=-1)
    assert np.abs(images.decode(out.getvalue()).image[..., 1].astype(int) - (ramp[..., 1] >> 8)).max() <= 2


def bmp(rgba):
    """A BMP of 32 bits with an alpha mask, as Windows' clipboard has it."""
    height, width = rgba.shape[:2]
    pixels = rgba[::-1, :, [2, 1, 0, 3]].tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = (
        struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(pixels), 0, 0, 0, 0) + masks + b"BGRs" + bytes(48)
    )
    return struct.pack("<2sIHHI", b"BM", 14 + len(head) + len(pixels), 0, 0, 14 + len(head)) + head + pixels


def with_alpha(ramp, alpha):
    return np.dstack([ramp(), np.broadcast_to(np.uint8(alpha), ramp().shape[:2])])


def test_an_alpha_channel_that_a_bmp_leaves_at_zero_is_none(ramp):
    decoded = images.decode(bmp(with_alpha(ramp, 0)))
    assert np.array_equal(decoded.image, ramp())
    assert decoded.notes == ()


def test_an_alpha_channel_that_a_bmp_uses_counts(ramp):
    rgba = with_alpha(ramp, 0).copy()
    rgba[0, 0, 3] = 255
    decoded = images.decode(bmp(rgba))
    assert np.array_equal(decoded.image[0, 0], ramp()[0, 0])
    assert (decoded.image[1:] == 255).all()
    assert decoded.notes == ("transparency replaced by white",)


def test_a_fourth_channel_of_a_tiff_that_says_nothing_of_it_is_none_where_it_is_zero(ramp):
    assert np.array_equal(images.decode(tiff(with_alpha(ramp, 0), photometric=2)).image, ramp())
    said = images.decode(tiff(with_alpha(ramp, 0), photometric=2, more=[(338, 3, ushort(2))]))
    assert (said.image == 255).all()


def test_a_png_that_is_transparent_everywhere_is_white(ramp, encoded):
    assert (images.decode(encoded(with_alpha(ramp, 0))).image == 255).all()


def test_of_an_apng_whose_first_image_is_no_frame_the_first_frame_is_taken(ramp, encoded):
    frame = pillow.fromarray(ramp())
    notice = pillow.new("RGB", frame.size, "white")
    options = {"save_all": True, "append_images": [frame, frame.rotate(180)], "default_image": True}
    decoded = images.decode(encoded(notice, "PNG", **options))
    assert np.array_equal(decoded.image, ramp())
    assert decoded.notes == ("only the first of several frames or pages is used",)


# What 8 bits cost


def test_the_levels_that_an_image_of_12_bits_in_16_uses_are_counted():
    ramp = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    assert images.decode(png16(ramp)).levels == 16
    assert images.decode(png16(ramp * 16)).levels == 254  # of 256 the outer 0.5 % of the pixels do not count
    assert images.decode(png16(ramp, 12)).levels == 254


def test_16_bit_colour_is_counted_too_and_8_bits_are_not(ramp, encoded):
    rows = (np.arange(48 * 48 * 3) % 4096).astype(np.uint16).reshape(48, 48, 3)
    decoded = images.decode(tiff(rows, photometric=2))
    assert (decoded.levels, decoded.notes) == (16, ("16-bit samples reduced to 8 bits",))
    assert images.decode(encoded(ramp())).levels == 0


@pytest.mark.parametrize(
    ("levels", "note"),
    [
        (
            [16, 14, 0],
            "2 images with 16-bit samples use only 16 of 256 levels for 99 % of the pixels after conversion to 8 bits",
        ),
        (
            [12],
            "1 image with 16-bit samples uses only 12 of 256 levels for 99 % of the pixels after conversion to 8 bits",
        ),
        ([16, 200, 250], ""),
        ([0, 0], ""),
    ],
)
def test_a_note_says_what_was_lost_where_most_images_of_16_bits_lose_it(levels, note):
    assert few_levels_note(np.array(levels, np.int16)) == note
