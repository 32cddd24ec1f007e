"""The page as a whole: it is whole, closed, safe, and says the evaluation's own numbers."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from foveola.lab.insides import look_inside
from foveola.lab.looks import Looks
from foveola.lab.run_files import write_evaluation
from foveola.lab.runs import Run
from foveola.learning.metrics import wilson
from foveola.models.table import build
from foveola.report.pages import command, render
from foveola.types import Size

VOID = {"meta", "link", "img", "br"}
HOSTILE = ("<script>alert(1)</script>.jpg", 'a"onerror="alert(2).jpg', "line\nbreak\udcff.jpg")


class Page(HTMLParser):
    """Walks the page: open elements, problems of nesting, all elements with their attributes, the text that is seen."""

    def __init__(self, text):
        super().__init__()
        self.open, self.problems, self.elements, self.seen = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if "style" not in self.open and "title" not in self.open:
            self.seen.append(data)

    @property
    def text(self):
        return " ".join("".join(self.seen).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def shapes(make_run):
    """Pages of very different runs."""
    return {
        "usual": lambda: make_run(),
        "hostile": lambda: make_run(
            names=("<b>cat</b>", "dog\udcff", "owl " * 30), ids=HOSTILE, problems=[(f, "empty file") for f in HOSTILE]
        ),
        "perfect": lambda: make_run(names=("cat", "dog"), wrong_every=0, epochs=1),
        "hundred": lambda: make_run(names=[f"class {i}" for i in range(100)], each=2, wrong_every=3),
        "wide": lambda: make_run(size=(64, 128)),
    }


KINDS = ("usual", "hostile", "perfect", "hundred", "wide")


@pytest.fixture(scope="module", params=KINDS)
def page(request, shapes):
    return render(shapes[request.param]())


def test_every_element_is_closed_where_it_belongs(page):
    found = Page(page)
    assert (found.problems, found.open) == ([], [])


def test_nothing_is_fetched(page):
    found = Page(page)
    addresses = [a[key] for _, a in found.elements for key in ("src", "href", "srcset", "data", "action") if key in a]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"https?://|@import|url\(", page)


def test_there_is_no_script_nor_handler(page):
    found = Page(page)
    assert not found.all("script") and "javascript:" not in page
    assert not [key for _, attributes in found.elements for key in attributes if key.startswith("on")]


def test_every_picture_has_a_text(page):
    pictures = Page(page).all("img")
    assert pictures and all(picture["alt"].strip() for picture in pictures)


def test_every_figure_has_a_label(page):
    figures = Page(page).all("svg")
    assert figures and all(figure["role"] == "img" and figure["aria-label"] for figure in figures)


def test_links_of_the_contents_lead_somewhere(page):
    found = Page(page)
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    links = [link["href"][1:] for link in found.all("a")]
    assert len(links) == 10 and set(links) <= set(ids)
    assert len(ids) == len(set(ids))


def test_the_page_can_be_written_as_utf_8(page):
    assert page.encode("utf-8").decode("utf-8") == page


def test_the_policy_forbids_everything_but_data_pictures_and_own_style(make_run):
    policies = [m["content"] for m in Page(render(make_run())).all("meta") if m.get("http-equiv")]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_the_first_sentence_says_the_evaluations_own_numbers(make_run):
    run = make_run(each=10)
    low, high, _ = run.evaluation.interval
    accuracy, base = run.evaluation.accuracy, run.evaluation.majority_accuracy
    assert (
        f"This network names the right class for {100 * accuracy:.1f} % of 30 test pictures it never saw; the true rate "
        f"most likely lies between {100 * low:.1f} % and {100 * high:.1f} % (95 % Wilson interval); always answering the "
        f"most frequent class cat would reach {100 * base:.1f} %."
    ) in Page(render(run)).text


def test_the_first_sentence_by_hand(make_run):
    # 24 pictures of 3 classes, every fourth wrong: 18 of 24 right; Wilson by hand: 0.551 to 0.880
    text = Page(render(make_run())).text
    assert "75.0 % of 24 test pictures" in text
    assert "between 55.1 % and 88.0 %" in text
    assert "would reach 33.3 %" in text


def test_a_network_no_better_than_the_baseline_is_called_so(make_run):
    text = Page(render(make_run(wrong_every=2, names=("cat", "dog")))).text
    assert "No better than always answering cat. That baseline lies within the interval" in text


def test_a_network_clearly_better_than_the_baseline_gets_no_warning(make_run):
    assert "better than always answering" not in render(make_run(wrong_every=0))


def test_the_files_are_stated_as_a_sum(make_run):
    text = Page(render(make_run(problems=[("a.jpg", "empty file"), ("b.jpg", "empty file")]))).text
    assert "129 found = 120 used + 2 with problems + 7 ignored" in text


def test_the_first_200_problems_are_listed_and_all_are_counted(make_run):
    page = Page(render(make_run(problems=[(f"file-{i}.jpg", f"cut short ({i} bytes)") for i in range(1201)])))
    assert "1,201 files could not be used" in page.text and "The first 200 of 1,201 files" in page.text
    assert "file-199.jpg" in page.text and "file-200.jpg" not in page.text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_and_change_nothing(make_run, name):
    page = render(make_run(problems=[(name, "empty file")]))
    visible = name.replace("\n", "\\n").replace("\udcff", "\\xff")
    assert visible in "".join(Page(page).seen)
    assert f"<code>{html.escape(visible).replace('&quot;', '&#34;')}</code>" in page


def test_the_confusion_matrix_holds_the_evaluations_numbers(make_run):
    run = make_run(each=10)
    cells = re.findall(r'<td class="(?:none|hit|miss)" title="[^"]*"[^>]*>(\d+)</td>', render(run))
    assert [int(cell) for cell in cells] == run.evaluation.confusion.ravel().tolist()


def test_25_classes_have_numbers_in_the_matrix_and_26_do_not(make_run):
    pages = [render(make_run(names=[f"c{i}" for i in range(k)], each=2, wrong_every=3)) for k in (25, 26)]
    assert ['class="confusion' in page for page in pages] == [True, False]
    assert ['class="matrix"' in page for page in pages] == [False, True]
    assert ["The most frequent confusions" in page for page in pages] == [False, True]


def test_a_perfect_run_says_there_are_no_mistakes(make_run):
    assert "There are no mistakes: all 24 test pictures were named right." in Page(render(make_run(wrong_every=0))).text


def test_right_and_wrong_are_told_by_sign_and_word(make_run):
    run = make_run(each=8)  # all 24 test pictures are in the grid, and 8 of them in the strip
    page = Page(render(run)).text
    assert page.count("✗ wrong") >= 6 and page.count("✓ right") >= 18
    assert page.count("✗ wrong") + page.count("✓ right") == 24 + 8


def test_the_kept_epoch_is_named_with_its_val_accuracy(make_run):
    # the fixture's val accuracy is 1 - 0.9 / epoch
    assert (
        "The weights of epoch 3 of 3 were kept: its val accuracy, 70.0 % (50.8 to 85.1),"
        in Page(render(make_run())).text
    )


def test_the_networks_table_counts_all_trainable_and_other_parameters(make_run):
    text = Page(render(make_run())).text
    assert "56 × 56 × 32" in text
    assert re.search(r"all parameters ?1,123 ?of these trainable ?1,059 ?not trainable ?64", text)


def test_the_recipe_is_shown_as_it_lies_in_the_folder(make_run):
    run = make_run(title='A "quoted" <title>')
    shown = re.search(r'<pre tabindex="0"><code>(.*?)</code>', render(run), re.DOTALL)
    assert html.unescape(shown[1]) == (run.path / "recipe.toml").read_text("utf-8")


def test_a_recipe_with_a_network_of_the_users_own_is_no_obstacle(make_run):
    run = make_run()
    recipe = run.path / "recipe.toml"
    recipe.write_text(recipe.read_text("utf-8").replace('name = "auto"', 'name = "my_own"'), "utf-8")
    assert "my_own" in render(run)


def test_the_command_quotes_a_path_with_spaces():
    tables = {"data": {"source": "my photos; rm"}}
    assert command(tables, 3) == "foveola train 'my photos; rm' --recipe recipe.toml --seed 3"


def test_the_command_for_data_from_memory_has_a_placeholder():
    assert command({"data": {}}, 0) == "foveola train DATA --recipe recipe.toml --seed 0"


def test_the_same_run_gives_the_same_page(make_run):
    run = make_run(names=("<b>", "dog\udcff"), ids=HOSTILE)
    assert render(run) == render(type(run)(run.path, run.result))


def test_a_usual_page_is_small(make_run):
    assert len(render(make_run(names=[str(i) for i in range(10)], size=(96, 96)))) < 2_000_000


def test_the_page_does_not_tell_where_its_makers_folders_lie(make_run):
    run = make_run()
    recipe = run.path / "recipe.toml"
    recipe.write_text(
        recipe.read_text("utf-8").replace(
            'source = "pets"', 'source = "/home/anna/pets"\nlabels = "/home/anna/sick.csv"'
        ),
        "utf-8",
    )
    page = render(run)
    assert "/home/anna" not in page
    assert "foveola train pets --recipe recipe.toml" in page


def test_the_page_shows_pictures_on_their_way_and_mean_pictures(make_run):
    run = make_run()
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    looks = Looks(np.stack([image] * 3), np.array([24] * 3), ("<i>.jpg",), (image,), (image,), (image,))
    looks.save(run.path / "looks.npz")
    page = render(run)
    assert "<h3>From file to network</h3>" in page
    assert page.count('alt="mean picture of class') == 3
    assert [page.count(f'alt="{colour} of it alone"') for colour in ("red", "green", "blue")] == [1, 1, 1]
    assert "after the chain" not in page  # there is none
    assert "<i>.jpg" not in page


def test_vals_accuracy_has_its_interval_as_a_field_and_it_is_said_why_train_has_none(make_run):
    run = make_run()
    page = render(run)
    n_val = sum(run.card.counts["val"])
    field = re.search(r'<polygon class="band val" points="([^"]+)"', page)[1].split()
    assert len(field) == 2 * len(run.history)
    low, high, _ = wilson(round(run.history[0].val_accuracy * n_val), n_val)
    # y: 30 is 100 %, 208 is 0 %
    assert [float(field[k].split(",")[1]) for k in (0, -1)] == pytest.approx(
        [208 - 178 * high, 208 - 178 * low], abs=0.06
    )
    assert "train has none: these are the very pictures that were learned from" in page


@pytest.mark.parametrize(("turned", "said"), [(0, "a right answer (<q>"), (1, "a wrong one (it is <q>")])
def test_the_picture_that_maps_are_of_is_called_right_where_it_is(make_run, turned, said):
    run = make_run(wrong_every=0)
    evaluation = replace(run.evaluation, labels=(run.evaluation.labels + turned) % 3)
    pixels = np.random.default_rng(0).integers(0, 256, (len(evaluation), 24, 32, 3), np.uint8)
    model = build("vgg6", Size(24, 32), 3, seed=0).eval()
    look_inside(model, evaluation, pixels, np.arange(len(evaluation))).save(run.path / "insides.npz")
    write_evaluation(run.path / "predictions.npz", evaluation)
    assert said in render(Run(run.path, run.result))
