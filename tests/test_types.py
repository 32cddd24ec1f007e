import pytest

from foveola.errors import UsageError
from foveola.types import Interval, Size, no_tick


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("224x160", (160, 224)),
        (" 8 x 1024 ", (1024, 8)),
        ("64", (64, 64)),
        ("32×48", (48, 32)),
    ],
)
def test_a_size_is_read_width_first(text, size):
    assert Size.parse(text) == size


@pytest.mark.parametrize(
    "text", ["", "x", "7", "1025", "8x7", "1025x8", "-8x8", "8x8x8", "8.5", "8,8", "100000x8", "8X8"]
)
def test_other_sizes_are_refused(text):
    with pytest.raises(UsageError) as caught:
        Size.parse(text)
    assert str(caught.value) == (
        f"size '{text}' is not WIDTHxHEIGHT with sides of 8 to 1024 pixels: write for example 224x224"
    )


def test_a_size_is_written_as_it_is_read():
    assert str(Size.parse("24x36")) == "24x36"
    assert str(Size(height_px=24, width_px=36)) == "36x24"
    assert Size.parse(str(Size(8, 1024))) == Size(8, 1024)


def test_an_interval_unpacks_in_order():
    low, high, level = Interval(0.25, 0.75, 0.95)
    assert (low, high, level) == (0.25, 0.75, 0.95)


def test_no_tick_takes_a_tick_and_does_nothing():
    assert no_tick("Reading", 1, 2) is None
