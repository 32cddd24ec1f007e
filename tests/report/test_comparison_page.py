"""The page of a comparison: whole, closed and safe, and it says the comparison's own numbers."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from foveola.comparison.arms import Arm
from foveola.comparison.result import Comparison
from foveola.comparison.statistics import bootstrap_accuracy, corrected_accuracy, plan_to_settle
from foveola.evaluation.intervals import wilson
from foveola.evaluation.metrics import Evaluation, result_numbers
from foveola.report.comparison_figures import AgainstZero, against_zero, colour, paired_dots
from foveola.report.comparison_page import SHOWN_CHANGES, render
from foveola.report.curves import Band, banded
from foveola.report.svg import ticks
from foveola.runs.files import write_evaluation
from foveola.runs.run import Run
from foveola.text import count

NAMES = ("cat", "dog", "owl")
HOSTILE = ("<script>alert(1)</script>", 'a"onerror="alert(2)', "line\nbreak\udcff")


@pytest.fixture(scope="module")
def make(make_run):
    """A comparison of runs that were right so often: by arm, the number of wrong answers with each seed, of 60.

    own_split: every seed has other test pictures. The arms differ in the chain.
    """

    def run(arm, seed, wrong, own_split, classes):
        one = make_run(names=classes, each=60 // len(classes))
        n = len(one.evaluation)
        labels = one.evaluation.labels
        # Arm k errs from place 5k on: which pictures flip is known.
        wrong_rows = (np.arange(wrong) + 5 * arm) % n
        predicted = labels.copy()
        predicted[wrong_rows] = (labels[wrong_rows] + 1) % len(classes)
        ids = tuple(f"test/{seed if own_split else 0}-{i:03d}.png" for i in range(n))
        logits = np.eye(len(classes), dtype=np.float32)[predicted]
        evaluation = Evaluation(logits, labels, ids, tuple(classes), "test")
        write_evaluation(one.path / "predictions.npz", evaluation)
        recipe = one.path / "recipe.toml"
        chain = ("", "sharpen", "blur(size=3)")[arm]
        if chain:
            recipe.write_text(recipe.read_text("utf-8").replace("[data]", f'[data]\nchain = "{chain}"'), "utf-8")
        sizes = {"n_test": n, "n_train": 3 * n, "n_val": n}
        return Run(one.path, {**one.result, **result_numbers(evaluation), **sizes, "seed": seed, "seconds": 10.0 + arm})

    def make_(counts, own_split=False, classes=NAMES, **more):
        rows = tuple(tuple(run(k, s, w, own_split, classes) for s, w in enumerate(row)) for k, row in enumerate(counts))
        arms = tuple(Arm(name, {}) for name in ("plain", "sharpened", "blurred")[: len(counts)])
        return Comparison(arms, tuple(range(len(counts[0]))), rows, question=("data.chain",), **more)

    return make_


WORSE = ([6, 7, 6, 8, 6], [14, 15, 13, 16, 15])


def image_of(k, name):
    """A picture that tells its arm."""
    return np.full((16, 16, 3), 40 * k, np.uint8)


class Page(HTMLParser):
    """Open elements, wrong nesting, all elements, and the text that is seen."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.elements, self.seen = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "br", "wbr", "col"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.seen.append(data)

    @property
    def text(self):
        return " ".join("".join(self.seen).split())


@pytest.fixture(scope="module", params=["usual", "three", "own split", "one seed", "hostile", "equal"])
def page(request, make):
    found = {
        "usual": lambda: make(WORSE),
        "three": lambda: make((*WORSE, [6, 6, 7, 8, 6])),
        "own split": lambda: make(WORSE, own_split=True, allowed=("fit.epochs",)),
        "one seed": lambda: make(([6], [9])),
        "hostile": lambda: replace(
            make((*WORSE, [6, 6, 7, 8, 6]), classes=HOSTILE), arms=tuple(Arm(name, {}) for name in HOSTILE)
        ),
        "equal": lambda: make(([6] * 5, [6] * 5)),
    }[request.param]()
    return render(found, image_of, command="foveola compare DATA")


def test_it_is_whole_closed_and_safe(page):
    found = Page(page)
    assert (found.wrong, found.open) == ([], [])
    assert not re.search(r"https?://|@import|url\(", page)
    assert not [tag for tag, a in found.elements if tag == "script" or any(key.startswith("on") for key in a)]
    addresses = [a[key] for _, a in found.elements for key in ("src", "href") if key in a]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert page.encode()


def test_pictures_and_figures_have_texts_and_links_lead_somewhere(page):
    elements = Page(page).elements
    assert all(a["alt"].strip() for tag, a in elements if tag == "img")
    assert all(a["role"] == "img" and a["aria-label"] for tag, a in elements if tag == "svg")
    ids = {a["id"] for _, a in elements if "id" in a}
    assert {a["href"][1:] for tag, a in elements if tag == "a"} <= ids


def test_the_policy_is_the_reports(make):
    policies = [a["content"] for tag, a in Page(render(make(WORSE), image_of)).elements if "http-equiv" in a]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_the_first_words_are_the_verdict_with_its_numbers(make):
    """By hand: 8, 8, 7, 8 and 9 more wrong of 60: a mean of 8, or -13.33 points; t 2.776, n 5, and their deviation of 1.18
    points is less than a picture, which counts as one: 1.667."""
    found = make(WORSE)
    low, high = -13.333 - 2.7764 * 1.6667 / 5**0.5, -13.333 + 2.7764 * 1.6667 / 5**0.5
    text = Page(render(found, image_of)).text
    assert f"sharpened: ▼ hurts −13.33 points (95 % interval −{-low:.2f} to −{-high:.2f})" in text


def test_fewer_than_five_seeds_say_that_there_is_no_verdict(make):
    text = Page(render(make(([6, 7], [14, 15])), image_of)).text
    assert "No verdict. A verdict needs at least 5 seeds; 2 were trained." in text
    assert "sharpened: ? not enough evidence" in text


def test_a_difference_that_was_allowed_is_warned_of_beside_every_table(make):
    found = make(WORSE, allowed=("fit.epochs",))
    page = render(found, image_of)
    warning = (
        "More than one setting differs. "
        "The arms also differ in fit.epochs, which you allowed: it may cause the difference."
    )
    tables = sum(tag == "table" for tag, _ in Page(page).elements)
    assert tables == 6
    assert Page(page).text.count(warning) == tables + 1  # and once at the top
    assert "More than one setting differs" not in render(make(WORSE), image_of)


def test_what_differs_is_told_with_both_values(make):
    assert re.search(r"sharpened ?data\.chain ?sharpen ?none", Page(render(make(WORSE), image_of)).text)


def test_every_seed_has_its_accuracies_and_difference(make):
    text = Page(render(make(WORSE), image_of)).text
    assert re.search(r"3 ?86\.67 % ?73\.33 % ?−13\.33", text)  # 8 and 16 wrong of 60


def test_every_arm_has_its_mean_with_interval_least_and_greatest(make):
    """Of 60: plain 6, 7, 6, 8, 6 wrong, on one test set; the interval is that of seeds and pictures."""
    found = make(WORSE)
    low, high, _ = bootstrap_accuracy(np.stack(found.correct[0]))
    text = Page(render(found, image_of)).text
    assert re.search(rf"plain ?89\.00 % ?{100 * low:.2f} to {100 * high:.2f} % ?86\.67 to 90\.00 %", text)


def test_with_a_split_a_seed_the_mean_has_the_corrected_interval(make):
    found = make(WORSE, own_split=True)
    low, high, _ = corrected_accuracy(found.accuracy[1], 60, test_to_train=60 / 240)
    assert f"{100 * low:.2f} to {100 * high:.2f} %" in Page(render(found, image_of)).text
    assert found.to_json()["arms"][1]["low_accuracy"] == low


def test_one_seed_has_its_own_interval_and_says_what_it_is(make):
    found = make(([6], [9]))
    text = Page(render(found, image_of)).text
    assert (
        "One seed does not show how much the accuracy varies between seeds. The interval is that of this single run"
        in text
    )
    low, high, _ = wilson(54, 60)
    assert [found.to_json()["arms"][0][f"{end}_accuracy"] for end in ("low", "high")] == [low, high]


def test_accuracies_without_an_interval_say_why(make):
    """Single runs in the table: ±9.3 points, half of Wilson's interval for 16 of 60 wrong, is the widest; val: no measure."""
    text = Page(render(make(WORSE), image_of)).text
    low, high, _ = wilson(44, 60)
    assert (
        f"The accuracy of a single run is known to within ±{50 * (high - low):.1f} points from its 60 test images"
        in text
    )
    assert "so the accuracy on them is too optimistic and has no interval here" in text


def test_the_methods_are_those_that_were_used(make):
    fixed, own = (Page(render(make(WORSE, own_split=own), image_of)).text for own in (False, True))
    assert "pigeonhole bootstrap" in fixed and "Nadeau" not in fixed
    assert "pigeonhole bootstrap" not in own and "Nadeau" in own
    assert "here 0.450 instead of 0.200" in own  # 1/5 + 60/240


def test_the_pictures_that_flip_are_shown_as_both_arms_see_them(make):
    """Baseline wrong at 0..5, arm at 5..17: 0 to 4 are gained, 6 and later lost."""
    page = render(make(([6] * 5, [13] * 5)), image_of)
    text = Page(page).text
    assert "sharpened against plain: 5 gained, 12 lost, of 60 test images" in text
    assert re.search(r"cat, misclassified as dog ?plain ?0 of 5 right ?sharpened ?5 of 5 right ?test/0-004\.png", text)
    alts = [a["alt"] for tag, a in Page(page).elements if tag == "img"]
    assert alts.count("test/0-004.png as plain sees it") == alts.count("the same image as sharpened sees it") - 16 == 1


def test_of_many_flips_the_clearest_are_shown_and_all_are_counted(make):
    text = Page(render(make(([0] * 5, [30] * 5)), image_of)).text
    assert "0 gained, 30 lost" in text
    assert f"The clearest {SHOWN_CHANGES} of 30 images." in text


def test_the_cost_of_an_arm_is_told_and_compared(make):
    assert re.search(r"sharpened ?11 s ?11 s to 11 s ?1\.1 times", Page(render(make(WORSE), image_of)).text)


def test_a_page_of_a_comparison_under_way_says_so_before_anything_else(make):
    text = Page(render(make(([6, 7], [14, 15]), unfinished="2 of 10 seeds are done"), image_of)).text
    assert text.index("Not finished. 2 of 10 seeds are done.") < text.index("1 Result")
    assert "No verdict." not in text  # more seeds were already asked for


def test_notes_are_shown(make):
    text = Page(render(make(WORSE, notes=("the budget of 5m ends here",)), image_of)).text
    assert "The budget of 5m ends here." in text


def test_the_same_comparison_gives_the_same_page(make):
    found = make(WORSE)
    assert render(found, image_of) == render(replace(found), image_of)


def test_changed_predictions_are_shown_only_where_the_seeds_share_their_test_images(make):
    text = Page(render(make(WORSE, own_split=True), image_of)).text
    assert "The page does not show them, because each seed has its own test images" in text
    assert "gained" not in text and "lost" not in text
    assert "Not shown" not in Page(render(make(WORSE), image_of)).text


def test_a_colour_is_always_the_same_arm(make):
    page = render(make((*WORSE, [6, 6, 7, 8, 6]), classes=("cat", "dog")), image_of)
    figures = re.findall(r'<svg class="small-interval".*?</svg>', page, re.DOTALL)
    colours = [set(re.findall(r'class="(arm-\d)', figure)) for figure in figures]
    assert colours == [{"arm-1"}] * 2 + [{"arm-2"}] * 2  # two classes of each arm, in the arm's colour
    assert not re.search(r'class="(?:key |said )?(?:right|wrong)"', page)


def test_a_class_that_gains_or_loses_is_told_by_a_word(make):
    # the arm is wrong about 15 of 20 cats and the baseline about none
    text = Page(render(make(([0] * 5, [20] * 5)), image_of)).text
    assert re.search(r"cat ?−75\.0 ?[^c]*▼ fewer ?20", text)
    assert "▲ more 20" not in text


def test_a_class_of_few_images_has_tenths_of_points_and_no_interval_beyond_100(make):
    # all images are wrong with two of five seeds: -40 points on average, -108 to +28 by t
    text = Page(render(make(([0] * 5, [0, 60, 0, 60, 0])), image_of)).text
    assert re.search(r"cat ?−40\.0 ?−100\.0 to \+28\.0", text)


def with_seconds(found, rows, threads=(2,)):
    runs = tuple(
        tuple(
            Run(run.path, {**run.result, "seconds": s, "threads": list(threads)}) for run, s in zip(r, t, strict=True)
        )
        for r, t in zip(found.runs, rows, strict=True)
    )
    return replace(found, runs=runs)


STEADY = ([10.0, 10.4, 10.2, 10.1, 10.3], [15.1, 15.2, 15.3, 15.4, 15.5])


def test_times_are_compared_where_runs_of_an_arm_take_alike(make):
    assert "1.5 times" in Page(render(with_seconds(make(WORSE), STEADY), image_of)).text
    alike = (STEADY[0], STEADY[0])
    assert "no clear difference" in Page(render(with_seconds(make(WORSE), alike), image_of)).text


@pytest.mark.parametrize(("last", "threads"), [(31.0, (2,)), (15.5, (2, 1))])
def test_times_of_a_busy_computer_are_not_compared(make, last, threads):
    """One run took twice as long; or runs went on with fewer threads."""
    rows = (STEADY[0], [*STEADY[1][:4], last])
    text = Page(render(with_seconds(make(WORSE), rows, threads), image_of)).text
    assert "The times are not compared." in text
    assert not re.search(r"\d times", text)


def test_the_page_says_how_many_more_seeds_would_settle_it(make):
    """By hand: gaps of 0, 1/60, 2/60, 1/60 and 1/60 have mean 1.67 and deviation 1.18 points, taken as the least of a
    picture and of coins for the few answers that differ. More seeds than 5 are needed, and the command counts from seed 0."""
    found = make(([6] * 5, [6, 7, 8, 7, 7]))
    plan = plan_to_settle(found, 1)
    assert plan.seeds > 5
    text = Page(render(found, image_of)).text
    assert f"About {count(plan.seeds - 5, 'more seed')} would decide between sharpened and plain" in text
    assert f"Run the same command with --seeds 0-{plan.seeds - 1}; it keeps the finished runs." in text


def test_where_training_sets_overlap_the_page_says_that_seeds_do_not_help(make):
    found = make(([6] * 5, [6, 8, 6, 8, 7]), own_split=True)
    assert plan_to_settle(found, 1).overlap
    assert "More seeds won’t decide between sharpened and plain" in Page(render(found, image_of)).text


@pytest.mark.parametrize(
    ("counts", "advice"),
    [
        (WORSE, "Keep plain: sharpened is worse on this data."),
        (WORSE[::-1], "Use sharpened: it is better than plain on this data."),
        (([6], [9]), "One seed can’t show a difference. Train at least 5 seeds."),
    ],
)
def test_the_page_says_what_to_do_next(make, counts, advice):
    assert f"What to do next: {advice}" in Page(render(make(counts), image_of)).text


def test_the_command_breaks_between_options_only(make):
    command = "foveola compare digits --arm plain --arm 'blur: data.chain=blur(size=3)' --seeds 0-4 --margin 0.5"
    page = render(make(WORSE), image_of, command=command)
    (shown,) = re.findall(r'<pre class="command" tabindex="0"><code>(.*?)</code>', page)
    assert html.unescape(re.sub("<[^>]+>", "", shown)) == command
    for part in ("--arm plain", "--seeds 0-4", "--margin 0.5"):
        assert f'<span class="nowrap">{part}</span>' in shown


def test_the_page_says_when_the_last_run_began_and_which_version_made_it(make):
    found = make(([6], [9]))
    for row, day in zip(found.runs, ("03", "04"), strict=True):
        made = {"foveola": "0.1.0", "started": f"2026-11-{day}T09:05:00+01:00"}
        (row[0].path / "environment.json").write_text(json.dumps(made), "utf-8")
    found = replace(found, runs=tuple(tuple(Run(run.path, run.result) for run in row) for row in found.runs))
    assert (
        "Made by foveola 0.1.0 on 4 November 2026, 09:05. This page is a single file"
        in Page(render(found, image_of)).text
    )


def place(figure, kind):
    """Where the elements of a class lie, in percent of the width."""
    return [float(x) for x in re.findall(rf'class="{kind}[^"]*" (?:cx|x|x1)="([\d.]+)%"', figure)]


def test_interval_mean_zero_and_margin_lie_where_the_axis_says():
    figure = against_zero([AgainstZero("x", "arm-1", [0.5, 1.5], 1.0, 0.5, 1.5, (0.25, 1.75))], 0.5, "plain")
    marks = ticks(-0.5, 1.75)

    def x(value):
        return pytest.approx(3 + 94 * (value - marks[0]) / (marks[-1] - marks[0]), abs=0.01)

    assert place(figure, "zero") == [x(0)]
    assert place(figure, "margin") == [x(-0.5)]
    assert place(figure, "mean") == [x(1.0)]
    assert place(figure, "interval") == [x(0.5)]
    assert place(figure, "whisker") == [x(0.25)]
    assert place(figure, "seed") == [x(0.5), x(1.5)]


def test_no_line_of_the_figure_runs_through_a_label():
    row = AgainstZero("x", "arm-1", [0.5, 1.5], 1.0, 0.5, 1.5, (0.25, 1.75))
    figure = against_zero([row, row], 0.5, "plain")
    labels = [int(y) for y in re.findall(r'<text class="label" x="0" y="(\d+)"', figure)]
    lines = re.findall(r'<(?:line class="zero"|rect class="margin")[^>]* y1?="(\d+)" (?:y2|height)="(\d+)"', figure)
    assert len(labels) == 2 and len(lines) == 4
    # letters reach from 12 above their line to 4 below it
    for label in labels:
        assert not any(int(top) < label + 4 and label - 12 < int(end) for top, end in lines if int(end) > int(top))
    assert '<text class="label"' not in paired_dots(
        ["a", "b"], [[0.8, 0.9], [0.7, 0.9]]
    )  # the page writes the names next to it


def test_a_long_name_has_its_numbers_on_a_second_line_above_the_figure():
    row = AgainstZero("a long name of an arm", "arm-1", [0.5, 1.5], 1.0, 0.5, 1.5, None)
    figure = against_zero([row, row], 0.5, "plain")
    assert figure.count('<tspan class="muted" x="0" dy="18">+1.00 (+0.50 to +1.50)</tspan>') == 2
    labels = [int(y) for y in re.findall(r'<text class="label" x="0" y="(\d+)"', figure)]
    zeros = [(int(a), int(b)) for a, b in re.findall(r'<line class="zero"[^>]* y1="(\d+)" y2="(\d+)"', figure)]
    # a second line of letters ends 4 below its line; the next label begins 12 above its own
    assert labels[0] + 18 + 4 <= zeros[0][0] < zeros[0][1] <= labels[1] - 12
    assert "dy=" not in against_zero([row._replace(name="short")], 0.5, "plain")


def test_only_the_last_mark_of_the_axis_has_the_unit():
    marks = re.findall(r'text-anchor="middle">([^<]+)<', paired_dots(["a", "b"], [[0.8, 0.9], [0.7, 0.9]]))
    assert marks == ["70", "75", "80", "85", "90 %"]


def test_an_infinite_interval_is_not_drawn():
    figure = against_zero([AgainstZero("x", "arm-1", [1.0], 1.0, -np.inf, np.inf, None)], 0.0, "plain")
    assert place(figure, "interval") == [] and "inf" not in figure.replace("interval", "")


def test_every_run_is_a_dot_and_every_pair_a_line():
    figure = paired_dots(["a", "b", "c"], [[0.8, 0.9], [0.7, 0.9], [0.6, 0.5]])
    assert len(place(figure, "seed")) == 6
    assert len(place(figure, "pair")) == 4
    assert len(place(figure, "mean-stroke")) == 3


def test_arms_have_colours_of_their_own_and_only_the_baseline_has_its():
    assert len({colour(k) for k in range(6)}) == 6
    assert colour(6) == "arm-1" and "arm-0" not in {colour(k) for k in range(1, 30)}


def test_bands_of_values_that_are_not_numbers_leave_no_nan_in_the_figure():
    nan = float("nan")
    figure = banded("Loss", [Band("arm-1", "x", [nan, 1.0], [nan, 0.5], [nan, 2.0])])
    assert "nan" not in figure.split("</title>")[1]
