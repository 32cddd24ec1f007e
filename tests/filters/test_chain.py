"""Chains: what a sentence means, and what is said of one that means nothing."""

import numpy as np
import pytest

from foveola.errors import UsageError
from foveola.filters.chain import FILTERS, Chain, Step

NAMES = ", ".join(sorted(FILTERS))


@pytest.fixture
def image():
    return np.random.default_rng(3).integers(0, 256, (13, 17, 3), np.uint8)


def test_a_chain_is_its_filters_one_after_the_other(image):
    by_hand = FILTERS["canny"](FILTERS["blur"](image, size=5), low=20.0, high=60.0)
    np.testing.assert_array_equal(Chain.parse("blur(size=5)|canny(low=20, high=60)")(image), by_hand)


def test_the_order_counts(image):
    one, other = Chain.parse("blur(size=3)|sharpen"), Chain.parse("sharpen|blur(size=3)")
    assert not np.array_equal(one(image), other(image))


def test_a_stack_is_its_pictures_one_by_one():
    stack = np.random.default_rng(1).integers(0, 256, (2, 3, 12, 10, 3), np.uint8)
    chain = Chain.parse("blur|sharpen|upscale")
    out = chain(stack)
    assert out.shape == (2, 3, 24, 20, 3)
    np.testing.assert_array_equal(out[1, 2], chain(stack[1, 2]))


def test_no_step_changes_nothing(image):
    assert Chain.parse("  ") == Chain()
    np.testing.assert_array_equal(Chain()(image), image)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("sharpen()", "sharpen"),
        (" blur( size = 3 ) |  sharpen ", "blur|sharpen"),
        ("canny(high=200.0,low=10)", "canny(low=10, high=200)"),
        ("kernel(values=[[0,0,0],[0,1.5,0],[0,0,0]])", "kernel(values=[[0, 0, 0], [0, 1.5, 0], [0, 0, 0]])"),
        ("", ""),
    ],
)
def test_a_sentence_has_one_form(text, canonical):
    chain = Chain.parse(text)
    assert str(chain) == canonical
    assert Chain.parse(canonical) == chain


def test_chains_are_added_like_sentences():
    assert Chain.parse("blur") + Chain.parse("sharpen|invert") == Chain.parse("blur|sharpen|invert")


def test_a_kernel_that_was_read_back_is_the_same_number(image):
    third = Chain.parse(f"kernel(values=[[0,0,0],[0,{1 / 3!r},0],[0,0,0]])")
    assert Chain.parse(str(third)) == third


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blur|sharpn", f"position 6: unknown filter 'sharpn' (did you mean 'sharpen'?); known: {NAMES}"),
        ("blur(siez=3)", "position 6, blur: unknown option 'siez' (did you mean 'size'?); known: sigma, size"),
        ("blur(size=3)|canny(lo=5)", "position 20, canny: unknown option 'lo' (did you mean 'low'?); known: high, low"),
        (
            "blur(siez=3, size=4)",  # all that is wrong with a filter, each at its place
            "position 6, blur: unknown option 'siez' (did you mean 'size'?); known: sigma, size; position 19, blur: size = 4 "
            "can't be used: it must be odd, so that the kernel has a centre",
        ),
        ("sharpen(size=3)", "position 9, sharpen: unknown option 'size'; known: none"),
        (
            "blur|blur(size=4)",
            "position 16, blur: size = 4 can't be used: it must be odd, so that the kernel has a centre",
        ),
        ("blur(size=33)", "position 11, blur: size = 33 can't be used: it must be less than or equal to 31"),
        ("blur(size='3')", "position 11, blur: size = '3' can't be used: it must be a valid integer"),
        ("blur(3)", "position 1: blur takes its options by name: write blur(size=...)"),
        ("sharpen(3)", "position 1: sharpen takes its options by name: it has none"),
        ("blur(**x)", "position 1: blur takes its options by name: write blur(size=...)"),
        ("blur(size=x)", "position 11: blur: size must be a number or a list of numbers"),
        ("blur(size=__import__('os'))", "position 11: blur: size must be a number or a list of numbers"),
        ("blur(size=3,size=5)", "position 13: blur: size is given twice: leave one out"),
        ("blur(size=3, sigma=1, size=3)", "position 23: blur: size is given twice: leave one out"),
        ("kernel", "position 1: kernel needs values: write kernel(values=...)"),
        (
            "kernel(values=[[1,2],[3,4]])",
            "position 15, kernel: values = [[1, 2], [3, 4]] can't be used: it must have 3x3, 5x5 or 7x7 numbers; it "
            "has 2 rows of 2",
        ),
        (
            "kernel(values=[[1,2,3],[3,4],[0,0,0]])",
            "position 15, kernel: values = [[1, 2, 3], [3, 4], [0, 0, 0]] can't be used: it must have 3x3, 5x5 or 7x7 "
            "numbers; it has 3 rows of 2x3",
        ),
        (
            f"kernel(values={[[0] * 9] * 9})",
            f"position 15, kernel: values = {[[0] * 9] * 9} can't be used: it must have 3x3, 5x5 or 7x7 numbers; it has 9 "
            "rows of 9",
        ),
        ("blur|", "position 5: this can't be read; write for example blur(size=3)|sharpen"),
        ("blur(", "position 5: this can't be read; write for example blur(size=3)|sharpen"),
        ("blur sharpen", "position 6: this can't be read; write for example blur(size=3)|sharpen"),
        ("blur,sharpen", "position 1: this is not a filter; write for example blur(size=3)|sharpen"),
        ("blur|3", "position 6: this is not a filter; write for example blur(size=3)|sharpen"),
        ("blur+sharpen", "position 1: this is not a filter; write for example blur(size=3)|sharpen"),
        ("os.system('x')", "position 1: this is not a filter; write for example blur(size=3)|sharpen"),
        (
            "blur|canny(low=200, high=100)",
            "position 6: canny(low=200, high=100): low must not be above high: swap them",
        ),
        (
            "canny(low=200)",  # above the default
            "position 1: canny(low=200, high=150): low must not be above high: swap them",
        ),
        ("gamma(value=0)", "position 13, gamma: value = 0 can't be used: it must be greater than 0"),
    ],
)
def test_a_sentence_that_means_nothing(text, said):
    with pytest.raises(UsageError) as error:
        Chain.parse(text)
    assert str(error.value) == f"chain '{text}', {said}"


@pytest.mark.parametrize(
    ("text", "position"), [("(blur|\n sharpn)", 9), ("(blur|\r\n sharpn)", 10), ("blur|\nsharpn", 7)]
)
def test_a_position_counts_through_all_lines(text, position):
    with pytest.raises(UsageError) as error:
        Chain.parse(text)
    one_line = text.replace("\n", " ").replace("\r", " ")
    assert str(error.value) == (
        f"chain '{one_line}', position {position}: unknown filter 'sharpn' (did you mean 'sharpen'?); known: {NAMES}"
    )


def test_a_chain_may_stand_in_several_lines(image):
    assert Chain.parse("blur\n| sharpen") == Chain.parse("blur|sharpen")


def test_a_position_counts_letters_not_bytes():
    with pytest.raises(UsageError, match=r"^chain 'größe\|blur', position 1: unknown filter 'größe'"):
        Chain.parse("größe|blur")


def test_a_very_long_sentence():
    with pytest.raises(UsageError) as error:
        Chain.parse("blur|" * 500)
    assert str(error.value) == "the chain has 2,500 characters: at most 2,000 are allowed"


@pytest.mark.parametrize(
    "text", ["(" * 1900, "[" * 1900, "-" * 1900 + "1", "\0", "a" + ".a" * 900, "|".join("b" * 900)]
)
def test_nothing_that_is_written_crashes_the_reader(text):
    with pytest.raises(UsageError, match=r"^chain "):
        Chain.parse(text)


def test_a_filter_of_ones_own(image):
    @FILTERS.register("twice")
    def twice(images, *, offset: int = 0):
        """Twice as bright."""
        return np.clip(2 * images.astype(int) + offset, 0, 255).astype(np.uint8)

    try:
        assert Chain.parse("twice(offset=3)").steps == (Step("twice", (("offset", 3),)),)
        np.testing.assert_array_equal(Chain.parse("twice")(image), np.minimum(2 * image.astype(int), 255))
        with pytest.raises(
            UsageError, match=r"^chain 'twice\(offset=1.5\)', position 14, twice: offset = 1.5 can't be used"
        ):
            Chain.parse("twice(offset=1.5)")
    finally:
        FILTERS.unregister("twice")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda x: x.astype(float), "float64 (13, 17, 3)"),
        (lambda x: x[..., 0], "uint8 (13, 17)"),
        (lambda x: None, "NoneType"),
    ],
)
def test_a_filter_of_ones_own_that_gives_no_picture(image, answer, found):
    FILTERS.register("odd")(answer)
    try:
        with pytest.raises(UsageError) as error:
            Chain.parse("odd")(image)
        assert str(error.value) == f"the filter 'odd' returned {found}; it must return uint8 (height, width, 3)"
    finally:
        FILTERS.unregister("odd")


def test_a_filter_of_ones_own_may_write_to_its_picture():
    @FILTERS.register("no_red")
    def no_red(image):
        image[..., 0] = 0
        return image

    image = np.full((4, 4, 3), 9, np.uint8)
    image.flags.writeable = False
    try:
        assert (Chain.parse("no_red")(image)[..., 0] == 0).all()
    finally:
        FILTERS.unregister("no_red")
    assert (image == 9).all()
