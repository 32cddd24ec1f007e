"""The page as a whole: it is whole, closed, safe, and says the evaluation's own numbers."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from foveola.evaluation.intervals import wilson
from foveola.models.build import build
from foveola.models.summary import LayerRow, Summary
from foveola.report.report_data import read_report_data
from foveola.report.run_page import command, render
from foveola.runs.files import write_evaluation, write_network
from foveola.runs.previews import DataPreview, make_network_preview
from foveola.runs.run import Run
from foveola.training.history import ProbeLog
from foveola.types import Size

VOID = {"meta", "link", "img", "br", "wbr", "col"}
HOSTILE = ("<script>alert(1)</script>.jpg", 'a"onerror="alert(2).jpg', "line\nbreak\udcff.jpg")


def page_of(run):
    return render(read_report_data(run))


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
    return page_of(shapes[request.param]())


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
    assert len(links) == 13 and set(links) <= set(ids)
    assert len(ids) == len(set(ids))


def test_the_page_can_be_written_as_utf_8(page):
    assert page.encode("utf-8").decode("utf-8") == page


def test_the_policy_forbids_everything_but_data_pictures_and_own_style(make_run):
    policies = [m["content"] for m in Page(page_of(make_run())).all("meta") if m.get("http-equiv")]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_the_first_sentence_says_the_evaluations_own_numbers(make_run):
    run = make_run(each=10)
    low, high, _ = run.evaluation.interval
    accuracy, base = run.evaluation.accuracy, run.evaluation.majority_accuracy
    assert (
        f"This network classified {100 * accuracy:.1f} % of 30 test images correctly, none of which it was trained on. Its "
        f"true accuracy is most likely between {100 * low:.1f} % and {100 * high:.1f} % (95 % Wilson interval). Always "
        f"predicting cat, the most frequent class, would reach {100 * base:.1f} %."
    ) in Page(page_of(run)).text


def test_the_first_sentence_by_hand(make_run):
    # 24 pictures of 3 classes, every fourth wrong: 18 of 24 right; Wilson by hand: 0.551 to 0.880
    text = Page(page_of(make_run())).text
    assert "75.0 % of 24 test images" in text
    assert "between 55.1 % and 88.0 %" in text
    assert "would reach 33.3 %" in text


def test_a_network_no_better_than_the_baseline_is_called_so(make_run):
    text = Page(page_of(make_run(wrong_every=2, names=("cat", "dog")))).text
    assert "No better than always predicting cat. The interval contains that baseline" in text


def test_a_network_clearly_better_than_the_baseline_gets_no_warning(make_run):
    assert "better than always predicting" not in page_of(make_run(wrong_every=0))


def test_the_files_are_stated_as_a_sum(make_run):
    text = Page(page_of(make_run(problems=[("a.jpg", "empty file"), ("b.jpg", "empty file")]))).text
    assert "129 found = 120 used + 2 with problems + 7 ignored" in text


def test_the_first_200_problems_are_listed_and_all_are_counted(make_run):
    page = Page(page_of(make_run(problems=[(f"file-{i}.jpg", f"cut short ({i} bytes)") for i in range(1201)])))
    assert "foveola could not use 1,201 files." in page.text and "The first 200 of 1,201 files" in page.text
    assert "file-199.jpg" in page.text and "file-200.jpg" not in page.text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_and_change_nothing(make_run, name):
    page = page_of(make_run(problems=[(name, "empty file")]))
    visible = name.replace("\n", "\\n").replace("\udcff", "\\xff")
    assert visible in "".join(Page(page).seen)
    assert f"<code>{html.escape(visible).replace('&quot;', '&#34;')}</code>" in page


def test_the_confusion_matrix_holds_the_evaluations_numbers(make_run):
    run = make_run(each=10)
    cells = re.findall(r'<td class="(?:none|hit|miss)" title="[^"]*"[^>]*>(\d+)</td>', page_of(run))
    assert [int(cell) for cell in cells] == run.evaluation.confusion.ravel().tolist()


def test_25_classes_have_numbers_in_the_matrix_and_26_do_not(make_run):
    pages = [page_of(make_run(names=[f"c{i}" for i in range(k)], each=2, wrong_every=3)) for k in (25, 26)]
    assert ['class="confusion' in page for page in pages] == [True, False]
    assert ['class="matrix"' in page for page in pages] == [False, True]
    assert ["Most frequent confusions" in page for page in pages] == [False, True]


def test_a_perfect_run_says_there_are_no_mistakes(make_run):
    assert (
        "There are no mistakes: all 24 test images were classified correctly."
        in Page(page_of(make_run(wrong_every=0))).text
    )


def test_right_and_wrong_are_told_by_sign_and_word(make_run):
    run = make_run(each=8)  # all 24 test pictures are in the grid, and 8 of them in the strip
    page = Page(page_of(run)).text
    assert page.count("✗ wrong") >= 6 and page.count("✓ right") >= 18
    assert page.count("✗ wrong") + page.count("✓ right") == 24 + 8


def test_the_kept_epoch_is_named_with_its_val_accuracy(make_run):
    # the fixture's val accuracy is 1 - 0.9 / epoch
    assert (
        "The weights of epoch 3 of 3 were kept. Its validation accuracy, 70.0 % (50.8 to 85.1),"
        in Page(page_of(make_run())).text
    )


def test_epochs_that_were_measured_on_smaller_images_are_named(make_run):
    run, told = make_run(), "Training began with smaller images. Up to epoch 2 the validation images were made smaller"
    assert "Training began with smaller images" not in Page(page_of(run)).text
    rows = [row._replace(val_scale=0.5 if row.epoch <= 2 else 1.0) for row in run.history]
    lines = "".join(json.dumps(row._asdict()) + "\n" for row in rows)
    (run.path / "history.jsonl").write_text(lines, "utf-8")
    assert told in Page(page_of(Run(run.path, run.result))).text


def test_the_networks_table_counts_all_trainable_and_other_parameters(make_run):
    text = Page(page_of(make_run())).text
    assert "56 × 56 × 32" in text
    assert re.search(r"All parameters ?1,123 ?Trainable ?1,059 ?Not trainable ?64", text)


def test_the_recipe_is_shown_as_it_lies_in_the_folder(make_run):
    run = make_run(title='A "quoted" <title>')
    shown = re.search(r'<pre tabindex="0"><code>(.*?)</code>', page_of(run), re.DOTALL)
    assert html.unescape(shown[1]) == (run.path / "recipe.toml").read_text("utf-8")


def test_a_recipe_with_a_network_of_the_users_own_is_no_obstacle(make_run):
    run = make_run()
    recipe = run.path / "recipe.toml"
    recipe.write_text(recipe.read_text("utf-8").replace('name = "auto"', 'name = "my_own"'), "utf-8")
    assert "my_own" in page_of(run)


def test_the_command_quotes_a_path_with_spaces():
    tables = {"data": {"source": "my photos; rm"}}
    assert command(tables, 3) == "foveola train 'my photos; rm' --recipe recipe.toml --seed 3"


def test_the_command_for_data_from_memory_has_a_placeholder():
    assert command({"data": {}}, 0) == "foveola train DATA --recipe recipe.toml --seed 0"


def test_the_same_run_gives_the_same_page(make_run):
    run = make_run(names=("<b>", "dog\udcff"), ids=HOSTILE)
    assert page_of(run) == page_of(type(run)(run.path, run.result))


def test_a_usual_page_is_small(make_run):
    assert len(page_of(make_run(names=[str(i) for i in range(10)], size=(96, 96)))) < 2_000_000


def test_the_page_tells_where_the_data_is_and_names_no_user(make_run):
    run = make_run()
    recipe = run.path / "recipe.toml"
    recipe.write_text(
        recipe.read_text("utf-8").replace(
            'source = "pets"', 'source = "/home/anna/pets"\nlabels = "/home/anna/sick.csv"'
        ),
        "utf-8",
    )
    page = page_of(run)
    assert "/home/anna" not in page and "anna" not in page
    assert "foveola train ~/pets --recipe recipe.toml" in Page(page).text
    assert '"~/sick.csv"' in html.unescape(page)


def test_the_page_shows_pictures_on_their_way_and_mean_images(make_run):
    run = make_run()
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    preview = DataPreview(np.stack([image] * 3), np.array([24] * 3), ("<i>.jpg",), (image,), (image,), (image,))
    preview.save(run.path / "data_preview.npz")
    page = page_of(run)
    assert "<h3>From file to network</h3>" in page
    assert page.count('alt="mean image of class') == 3
    assert [page.count(f'alt="its {colour} channel"') for colour in ("red", "green", "blue")] == [1, 1, 1]
    assert "after the filters" not in page  # there is none
    assert "<i>.jpg" not in page


def test_vals_accuracy_has_its_interval_as_a_field_and_it_is_said_why_train_has_none(make_run):
    run = make_run()
    page = page_of(run)
    n_val = sum(run.card.counts["val"])
    field = re.search(r'<polygon class="band val" points="([^"]+)"', page)[1].split()
    assert len(field) == 2 * len(run.history)
    low, high, _ = wilson(round(run.history[0].val_accuracy * n_val), n_val)
    # y: 30 is 100 %, 208 is 0 %
    assert [float(field[k].split(",")[1]) for k in (0, -1)] == pytest.approx(
        [208 - 178 * high, 208 - 178 * low], abs=0.06
    )
    assert "The training accuracy has no interval, because it says nothing about new images." in page


def test_accuracies_with_class_weights_have_no_interval_because_they_are_no_shares_of_images(make_run):
    run = make_run()
    recipe = run.path / "recipe.toml"
    text = recipe.read_text("utf-8").replace('class_weights = "none"', 'class_weights = "balanced"')
    recipe.write_text(text, "utf-8")
    page = page_of(Run(run.path, run.result))
    assert "so these accuracies have no interval." in page
    assert '<polygon class="band val"' not in page
    assert ">val accuracy</th>" in page


@pytest.mark.parametrize(
    ("turned", "said"), [(0, "a correct prediction (<q>"), (1, "a wrong prediction (the true class is <q>")]
)
def test_the_picture_that_maps_are_of_is_called_right_where_it_is(make_run, turned, said):
    run = make_run(wrong_every=0)
    evaluation = replace(run.evaluation, labels=(run.evaluation.labels + turned) % 3)
    pixels = np.random.default_rng(0).integers(0, 256, (len(evaluation), 24, 32, 3), np.uint8)
    model = build("vgg6", Size(24, 32), 3, seed=0).eval()
    make_network_preview(model, evaluation, pixels, np.arange(len(evaluation))).save(run.path / "network_preview.npz")
    write_evaluation(run.path / "predictions.npz", evaluation)
    assert said in page_of(Run(run.path, run.result))


def with_head(run, strengths=(10.0, 1.0, 0.0316), epochs=0):
    """The run as one whose last layer alone was fitted, with these penalties, the middle one best."""
    rows = [
        ProbeLog(k, len(strengths), strength, 0.5 / k, 0.8, 0.4 + abs(k - 2), 0.9, float(k))
        for k, strength in enumerate(strengths, start=1)
    ]
    (run.path / "head.jsonl").write_text("".join(json.dumps(row._asdict()) + "\n" for row in rows), "utf-8")
    if not epochs:
        (run.path / "history.jsonl").write_text("", "utf-8")
        recipe = run.path / "recipe.toml"
        recipe.write_text(re.sub(r"(?m)^epochs = \d+", "epochs = 0", recipe.read_text("utf-8")), "utf-8")
    return Run(run.path, {**run.result, "best_epoch": epochs, "epochs": epochs})


def test_a_network_without_epochs_has_no_epoch_that_was_chosen(make_run):
    text = Page(page_of(with_head(make_run()))).text
    assert "The validation images (val) decided how strongly the last layer is regularised." in text
    assert "which epoch" not in text
    assert "had no effect" in text  # batch size and learning rate in the recipe


def test_a_network_with_epochs_says_that_val_chose_among_them(make_run):
    assert "(val) decided which epoch’s weights to keep." in Page(page_of(make_run())).text
    both = Page(page_of(with_head(make_run(), epochs=3))).text
    assert "decided how strongly the last layer is regularised and which epoch’s weights to keep." in both


def with_sets(run, epochs=0):
    """The run as one whose last layer was fitted on two sets of features; on the second, the first penalty is the best."""
    rows = [
        ProbeLog(1, 4, 1.0, 0.5, 0.8, 0.6, 0.7, 1.0, "top"),
        ProbeLog(2, 4, 0.1, 0.5, 0.8, 0.5, 0.8, 2.0, "top"),
        ProbeLog(3, 4, 10.0, 0.5, 0.8, 0.4, 0.9, 3.0, "top + stage7 + stage5"),
        ProbeLog(4, 4, 3.2, 0.5, 0.8, 0.45, 0.9, 4.0, "top + stage7 + stage5"),
    ]
    run = with_head(run, epochs=epochs)
    (run.path / "head.jsonl").write_text("".join(json.dumps(row._asdict()) + "\n" for row in rows), "utf-8")
    return Run(run.path, run.result)


def test_the_features_that_val_chose_are_named_and_the_others_are_in_a_table(make_run):
    page = page_of(with_sets(make_run()))
    text = Page(page).text
    assert "decided which features the last layer uses and how strongly it is regularised." in text
    assert (
        "It kept the features of the last stage and two earlier ones and penalty 10, whose validation loss of 0.400"
        in text
    )
    assert "fitted again with these features and this penalty" in text
    rows = re.findall(r'<tr><th scope="row" class="long">(the last stage[^<]*)</th><td class="num">([^<]+)</td>', page)
    assert rows == [("the last stage", "0.1"), ("the last stage and two earlier ones (kept)", "10")]


def test_the_curves_are_those_of_the_features_that_were_kept(make_run):
    page = page_of(with_sets(make_run()))
    assert re.findall(r'y="226" text-anchor="middle">([^<]+)<', page) == ["10", "3.2"] * 2
    assert "All 2 penalties as a table" in Page(page).text


def test_with_epochs_no_features_count_as_kept(make_run):
    text = Page(page_of(with_sets(make_run(), epochs=3))).text
    assert (
        "decided which features the last layer uses, how strongly it is regularised and which epoch’s weights" in text
    )
    assert "earlier ones (kept)" not in text


def test_penalties_are_shown_by_their_value(make_run):
    page = page_of(with_head(make_run()))
    assert "It kept penalty 1, whose validation loss of 0.400 is the lowest." in Page(page).text
    axis = re.findall(r'y="226" text-anchor="middle">([^<]+)<', page)
    assert axis == ["10", "1", "0.032"] * 2
    assert ">penalty 1, kept<" in page
    assert re.findall(r'<th scope="row" class="num">([^<]+)</th><td class="num">0\.', page) == [
        "10",
        "1 (kept)",
        "0.032",
    ]


def test_the_page_says_when_from_what_and_by_which_command_it_was_made(make_run):
    run = make_run()
    made = {"foveola": "0.1.0", "started": "2026-11-30T09:05:00+01:00"}
    made["command"] = ["foveola", "train", "/home/anna/my pets", "--epochs", "3"]
    (run.path / "environment.json").write_text(json.dumps(made), "utf-8")
    run = Run(run.path, {**run.result, "run": "runs/pets/seed-0005"})
    page = page_of(run)
    text = Page(page).text
    assert "foveola report · 30 November 2026, 09:05" in text
    assert "Made by foveola 0.1.0 on 30 November 2026, 09:05." in text
    assert re.search(r"Data ?pets ?Command ?foveola train ~/'my pets' --epochs 3", text)
    assert "anna" not in page


def test_the_page_says_what_to_do_next_in_commands_for_this_run(make_run):
    run = make_run()
    page = Page(page_of(Run(run.path, {**run.result, "run": "runs/my pets/seed-0005"}))).text
    assert page.index("Next: foveola predict 'runs/my pets/seed-0005' photo.jpg") < page.index("Total time") + 80
    for line in ("predict 'runs/my pets/seed-0005' photo.jpg", "evaluate 'runs/my pets/seed-0005'", "check pets"):
        assert f"foveola {line}" in page


def test_a_table_of_predictions_is_linked_where_there_is_one(make_run):
    run = make_run()
    assert "predictions.csv" not in page_of(run)
    (run.path / "predictions.csv").write_text("file,label\n")
    assert '<a href="predictions.csv">' in page_of(run)


def layers(run, names):
    write_network(run.path / "network.json", Summary(tuple(LayerRow(n, "Conv2d", (8, 8, 4), 10) for n in names), 1, 1))
    return Page(page_of(Run(run.path, run.result)))


def test_the_layers_of_a_long_network_are_folded_by_stage(make_run):
    names = ["stem.conv", *(f"stage{s}.{b}.conv" for s in (1, 2) for b in range(11)), "head"]
    page = layers(make_run(), names)
    folded = page.text[page.text.rindex("9 Network") : page.text.rindex("10 Recipe and environment")]
    assert re.search(r"stem ?1 ?8 × 8 × 4 ?10 .*stage1 ?11 ?8 × 8 × 4 ?110 .*stage2 ?11", folded)
    assert all(f"stage2.{b}.conv" in folded for b in range(11))  # all layers are there
    folds = [a for tag, a in page.elements if tag == "details"]
    assert len([f for f in folds if "open" not in f]) == len(folds) >= 4


def test_the_layers_of_a_short_network_are_open(make_run):
    shorter, longer = (layers(make_run(), [f"conv{i}" for i in range(n)]) for n in (20, 21))
    assert len(longer.all("details")) == len(shorter.all("details")) + 21


def test_wide_tables_scroll_in_a_box_that_says_so(page):
    found = Page(page)
    boxes = [a for a in found.all("div") if a.get("class", "").startswith("scroll")]
    tables = [a for a in found.all("table") if a.get("class") != "environment"]  # two columns that wrap
    assert len(boxes) == len(tables)
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)  # reached by keyboard, named
    assert 'content: "scroll for more →"' in page


def test_the_menu_marks_the_section_that_is_read_without_a_script(page):
    found = Page(page)
    for link in found.all("a"):
        if link["href"] != "#top":
            assert f'nav a[href="{link["href"]}"] {{ animation: here' in page
            assert f'section[aria-labelledby="{link["href"][1:]}"] {{ view-timeline' in page


def test_printed_pages_have_numbers(page):
    assert re.search(r"@page \{[^}]*@bottom-right \{ content: counter\(page\)", page)


def test_a_long_file_name_is_cut_in_its_middle_and_whole_on_hover(make_run):
    name = "test/" + "a" * 60 + "_466530434.jpg"
    run = make_run(ids=("test/0.jpg", name))  # the second test picture is wrong in this run
    shown = re.search(rf'<code class="id" title="{name}">(.+?)</code>', page_of(run))[1]
    assert shown.startswith("test/<wbr>aaa")  # a line may end after the folder
    assert shown.endswith("_466530434.jpg") and len(shown.replace("<wbr>", "")) == 44
