"""What the page of `foveola check` draws of its findings: each group once, all reachable, and no more than fits."""

import pytest

from foveola.checks.finding import Finding
from foveola.report.check_page import GROUPS, MEMBERS, SINGLES, Drawing, Shown
from foveola.report.formatting import Thumbnail


def show(name, caption):
    return Shown(name, "cat", caption, Thumbnail("x" * 1000, 8, 8, False))


def groups(n, each=2, start=0):
    return tuple(tuple(f"{k}-{i}.png" for i in range(each)) for k in range(start, start + n))


def finding(some, kind="exact_duplicate"):
    return Finding(kind, "warning", "m", "a", tuple(name for group in some for name in group), some)


def names(drawn):
    return [tuple(image.id for image in group.images) for group in drawn]


def test_a_group_that_an_earlier_finding_has_drawn_is_not_drawn_again():
    drawing = Drawing(show)
    first = drawing.draw(0, finding(groups(3), "split_leak"))
    second = drawing.draw(1, finding(groups(4)))
    assert names(first.groups) == list(groups(3))
    assert names(second.groups) == [("3-0.png", "3-1.png")]
    assert (second.repeated, second.of) == (3, 0)


def test_a_part_of_a_drawn_group_is_not_drawn_again_but_a_larger_group_is():
    drawing = Drawing(show)
    drawing.draw(0, finding(groups(1, each=3)))
    assert drawing.draw(1, finding((("0-2.png", "0-0.png"),))).repeated == 1
    assert drawing.draw(2, finding(groups(1, each=4))).repeated == 0


def test_groups_beyond_the_first_are_folded_and_all_are_there():
    drawn = Drawing(show).draw(0, finding(groups(GROUPS + 33)))
    assert (len(drawn.groups), len(drawn.folded), drawn.listed) == (GROUPS, 33, ())
    assert names((*drawn.groups, *drawn.folded)) == list(groups(GROUPS + 33))


def test_folded_thumbnails_end_where_their_weight_does_and_the_rest_is_listed_by_name():
    drawing = Drawing(show, left=5_000)  # of groups of two thumbnails of 1,000 characters three
    drawn = drawing.draw(0, finding(groups(GROUPS + 10)))
    assert len(drawn.folded) == 3
    assert drawn.listed == groups(7, start=GROUPS + 3)
    later = drawing.draw(1, finding(groups(GROUPS + 2, start=500)))  # the weight is the page's, not a finding's
    assert (later.folded, len(later.listed)) == ((), 2)


def test_a_group_that_is_only_listed_is_drawn_where_a_later_finding_has_room_for_it():
    drawing = Drawing(show, left=0)
    drawing.draw(0, finding(groups(GROUPS + 1)))
    assert names(drawing.draw(1, finding(groups(1, start=GROUPS))).groups) == list(groups(1, start=GROUPS))


def test_a_large_group_shows_its_first_images_and_counts_the_others():
    (group,) = Drawing(show).draw(0, finding(groups(1, each=MEMBERS + 3))).groups
    assert (len(group.images), group.more) == (MEMBERS, 3)


@pytest.mark.parametrize(("left", "folded"), [(10_000_000, 9), (2_000, 2)])
def test_images_without_groups_are_folded_in_the_same_way(left, folded):
    ids = tuple(f"{i}.png" for i in range(SINGLES + 9))
    words = tuple(f"word {i}" for i in range(SINGLES + 9))
    drawn = Drawing(show, left=left).draw(0, Finding("quality", "note", "m", "a", ids, captions=words))
    assert (len(drawn.singles), len(drawn.single_folded)) == (SINGLES, folded)
    assert drawn.single_folded[0].caption == f"word {SINGLES}"


def test_damaged_files_have_no_images():
    assert Drawing(show).draw(0, Finding("damaged", "warning", "m", "a", ("a.png",))).singles == ()
