"""`foveola check` on data with planted faults, its page, its list, and what `train` does with both."""

import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import foveola as fv
from foveola.cli import app
from foveola.errors import ResourceError, UsageError

SIDE = 64


def scene(number):
    rng = np.random.default_rng([number, 77])
    image = np.full((SIDE, SIDE, 3), 128, np.float32)
    for cells, strength in ((4, 50), (10, 40), (24, 25)):
        coarse = rng.normal(0, strength, (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)


def clean(root, plant, each=20):
    """Two classes in two parts, every image its own."""
    names = [
        f"{part}/{kind}/{n:03d}.png" for part in ("train", "test") for kind in ("cats", "dogs") for n in range(each)
    ]
    return plant(root, {name: scene(k) for k, name in enumerate(names)})


def mask():
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    return np.repeat((((y - 30) ** 2 + (x - 34) ** 2 < 300) * 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture
def faulty(tmp_path, plant, encoded):
    """Clean data and faults: what was planted, by kind, as sets of ids."""
    root = clean(tmp_path / "pets", plant)
    one = scene(0)  # train/cats/000.png; 20 images per folder, so train/dogs begins at 20, test/cats at 40
    plant(
        root,
        {
            "train/cats/cut.png": encoded(scene(500))[:2000],
            "train/dogs/empty.png": b"",
            "test/dogs/notes.png": "no image",
            "test/cats/again1.png": scene(5),
            "test/dogs/again2.png": scene(25),
            "train/cats/resaved.jpg": encoded(one, "JPEG", quality=60),
            "train/cats/resized.png": cv2.resize(scene(1), (48, 48), interpolation=cv2.INTER_AREA),
            "train/cats/cropped.png": np.ascontiguousarray(scene(2)[2:, :-3]),
            "train/cats/mirrored.png": np.ascontiguousarray(scene(3)[:, ::-1]),
            "train/cats/turned.png": np.ascontiguousarray(np.rot90(scene(4))),
            "train/dogs/swapped1.png": scene(7),
            "train/dogs/swapped2.png": scene(8),
            "train/cats/009_mask.png": mask(),
            "train/cats/010_mask.png": np.ascontiguousarray(np.roll(mask(), 9, axis=0)),
        },
    )
    planted = {
        "damaged": {"train/cats/cut.png", "train/dogs/empty.png", "test/dogs/notes.png"},
        "exact_duplicate": {"test/cats/again1.png", "train/cats/005.png", "test/dogs/again2.png", "train/dogs/005.png"},
        "near_duplicate": {
            f"train/cats/{name}" for name in (
                "000.png", "001.png", "002.png", "003.png", "004.png",
                "resaved.jpg", "resized.png", "cropped.png", "mirrored.png", "turned.png",
            )
        },
        "label_conflict": {f"train/{name}.png" for name in ("cats/007", "cats/008", "dogs/swapped1", "dogs/swapped2")},
        "split_leak": {"test/cats/again1.png", "test/dogs/again2.png", "train/cats/005.png", "train/dogs/005.png"},
        "twin": {"train/cats/009.png", "train/cats/010.png", "train/cats/009_mask.png", "train/cats/010_mask.png"},
    }  # fmt: skip
    return root, planted


def by_kind(found):
    kinds = {}
    for finding in found.findings:
        kinds.setdefault(finding.kind, []).append(finding)
    return kinds


def test_a_clean_set_raises_no_error_and_no_warning(tmp_path, plant):
    found = fv.check(clean(tmp_path / "pets", plant))
    assert [finding for finding in found.findings if finding.severity != "note"] == []


def test_every_planted_fault_is_found_with_its_files_and_no_other_error(faulty):
    root, planted = faulty
    found = fv.check(root, suspects=False)
    kinds = by_kind(found)
    planted["exact_duplicate"] |= planted["label_conflict"]
    for kind, files in planted.items():
        assert set(kinds[kind][0].ids) == files, kind
    assert {f.kind for f in found.findings if f.severity == "error"} == {"label_conflict", "split_leak"}
    assert {f.kind for f in found.findings if f.severity == "warning"} == {
        "damaged", "exact_duplicate", "near_duplicate", "twin",
    }  # fmt: skip


def test_a_leak_says_how_much_of_the_test_part_it_is(faulty):
    [leak] = by_kind(fv.check(faulty[0], suspects=False))["split_leak"]
    assert leak.message == (
        "2 of 42 test images (4.8 %) have a copy or a derived file in train or val, 2 of them with identical pixels: the "
        "accuracy will be too high"
    )


def test_a_size_that_tells_the_class_is_an_error(tmp_path, plant):
    files = {f"cats/{n}.png": scene(n) for n in range(20)}
    files |= {f"dogs/{n}.png": cv2.resize(scene(100 + n), (60, 60)) for n in range(20)}
    errors = [f for f in fv.check(plant(tmp_path / "pets", files), suspects=False).findings if f.severity == "error"]
    assert [f.kind for f in errors] == ["shortcut"]
    assert errors[0].message.startswith("the size in pixels of a file alone predicts the class of 100.0 %")


def smooth_or_rough(number, rough):
    """Sky or gravel: two things of which one takes many more bytes."""
    rng = np.random.default_rng([number, rough])
    cells = 48 if rough else 3
    image = cv2.resize(
        rng.normal(128, 50, (cells, cells, 3)).astype(np.float32), (96, 96), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("quality", "severity"), [(90, "note"), (30, "error")])
def test_texture_is_no_error_and_harder_compression_is(tmp_path, plant, encoded, quality, severity):
    files = {f"sky/{n}.jpg": encoded(smooth_or_rough(n, False), "JPEG", quality=90) for n in range(20)}
    files |= {f"gravel/{n}.jpg": encoded(smooth_or_rough(n, True), "JPEG", quality=quality) for n in range(20)}
    found = fv.check(plant(tmp_path / "ground", files), suspects=False)
    [shortcut] = [f for f in by_kind(found)["shortcut"] if "mean colour" not in f.message]
    assert shortcut.severity == severity


def kind_of(label, number):
    """Images that a network tells apart at a glance: stripes and discs, each its own."""
    rng = np.random.default_rng([label, number])
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    if label:
        cy, cx, r = rng.uniform(20, 44, 3)
        shape = ((y - cy) ** 2 + (x - cx) ** 2 < (r / 2.5) ** 2) * 160.0
    else:
        shape = 80 * (1 + np.sin(x / rng.uniform(1.5, 2.5) + rng.uniform(0, 6)))
    image = shape[..., None] * rng.uniform(0.6, 1, 3) + rng.normal(40, 12, (SIDE, SIDE, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def test_swapped_labels_are_suspected_the_others_are_not(tmp_path, plant):
    files = {f"{('stripes', 'discs')[k]}/{n:02d}.png": kind_of(k, n) for k in (0, 1) for n in range(30)}
    files["stripes/03.png"], files["discs/05.png"] = kind_of(1, 98), kind_of(0, 99)
    [finding] = by_kind(fv.check(plant(tmp_path / "shapes", files), suspects=True))["suspect_label"]
    assert set(finding.ids) == {"stripes/03.png", "discs/05.png"}


def test_a_folder_of_few_photos_and_their_copies_is_checked_without_the_search_for_wrong_labels(tmp_path, plant):
    """Two photos per class, six times each: 24 files, and nothing to learn from without having seen the copies."""
    files = {}
    for k, kind in enumerate(("cats", "dogs")):
        for base in range(2):
            image = scene(10 * k + base)
            files |= {
                f"{kind}/{base}_{turns}.png": np.rot90(image, turns % 4)[:, :: 1 - turns // 4 * 2] for turns in range(6)
            }
    found = fv.check(plant(tmp_path / "pets", {name: np.ascontiguousarray(image) for name, image in files.items()}))
    assert found.remarks == (
        "the search for wrong labels was skipped: class 'cats' has only 2 different images, and each class needs 5",
    )
    assert len(by_kind(found)["near_duplicate"][0].ids) == 24


def test_one_image_under_two_labels_in_every_file_is_reported(tmp_path, plant):
    files = {f"{kind}/{n}.png": scene(1) for kind in ("cats", "dogs") for n in range(12)}
    found = fv.check(plant(tmp_path / "pets", files), suspects=True)
    assert len(by_kind(found)["label_conflict"][0].ids) == 24
    assert len(found.remarks) == 1


def test_the_json_has_the_keys_that_are_promised(faulty, tmp_path):
    result = CliRunner().invoke(
        app, ["check", str(faulty[0]), "--no-suspects", "--json", "--out", str(tmp_path / "c.html")]
    )
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert set(told) == {"files_found", "files_used", "files_ignored", "findings", "remarks", "page", "list"}
    assert (told["files_found"], told["files_used"], told["files_ignored"]) == (94, 91, 0)
    for finding in told["findings"]:
        assert set(finding) == {"kind", "severity", "count", "ids", "message", "advice"}
        assert finding["count"] == len(finding["ids"]) or not finding["ids"]


def test_train_takes_the_list_and_says_what_was_left_out(faulty, tmp_path):
    root, fix = faulty[0], tmp_path / "leave-out.txt"
    fv.check(root, suspects=False, fix=fix)
    assert all((root / name).exists() for names in faulty[1].values() for name in names)
    before = fv.check(root, suspects=False, settings={"data.exclude": str(fix)})
    assert [f for f in before.findings if f.severity != "note" and f.kind != "damaged"] == []
    run = fv.train(root, model="fast", epochs=1, size="16", exclude=fix, out=tmp_path / "run")
    out = [problem.file for problem in run.card.problems if "leave-out.txt" in problem.reason]
    assert set(out) >= {"train/cats/009_mask.png", "train/cats/005.png", "train/dogs/swapped1.png"}
    assert run.recipe.data.exclude == str(fix)
    assert "left out by the exclude list" in run.report.read_text("utf-8")


def test_a_run_s_own_data_is_known_again_without_what_was_left_out(tmp_path, two_classes):
    root, fix = two_classes(10), tmp_path / "q.txt"
    fix.write_text("cats/1.png\n")
    run = fv.train(root, model="fast", epochs=1, size="16", exclude=fix, out=tmp_path / "run")
    again = fv.evaluate(run.path, root)
    assert again.ids == run.evaluation.ids


def test_the_report_tells_findings_and_the_accuracy_without_leaked_test_pictures(faulty, tmp_path):
    run = fv.train(faulty[0], model="fast", epochs=1, size="32", out=tmp_path / "run")
    assert set(run.card.leaked) == {"test/cats/again1.png", "test/dogs/again2.png"}
    kept = [
        ok for name, ok in zip(run.evaluation.ids, run.evaluation.correct, strict=True) if name not in run.card.leaked
    ]
    text = run.report.read_text("utf-8")
    assert f"Without them the accuracy is <strong>{100 * np.mean(kept):.1f} %</strong>" in text
    assert "2 images have two or more labels" in text


def test_near_duplicates_and_twins_stay_on_one_side_and_the_naive_split_is_counted(tmp_path, plant):
    files = {f"{'ab'[n % 2]}/{n:02d}.png": scene(n) for n in range(40)}
    files |= {f"{'ab'[n % 2]}/{n:02d}_mirror.png": np.ascontiguousarray(scene(n)[:, ::-1]) for n in range(20)}
    root = plant(tmp_path / "pets", files)
    settings = {"split.near_duplicates_together": True}
    run = fv.train(root, model="fast", epochs=1, size="32", settings=settings, out=tmp_path / "run")
    test = {name[:4] for name in run.evaluation.ids}
    assert all((f"{pair}.png" in run.evaluation.ids) == (f"{pair}_mirror.png" in run.evaluation.ids)
               for pair in test if int(pair[2:]) < 20)  # fmt: skip
    notes = " ".join(run.card.remarks)
    assert "20 near-duplicates or derived images were kept in the same set as their originals" in notes
    assert re.search(
        r"with a random split, \d+ of 12 test images \(\d+\.\d %\) would have a copy, near-duplicate or derived image",
        notes,
    )
    assert run.card.leaked == ()
    share = int(re.search(r"random split, (\d+) of 12", notes).group(1)) / 12
    accuracy = run.evaluation.accuracy
    claimed = accuracy + share * (1 - accuracy)
    assert run.card.naive_share == pytest.approx(share)
    page = run.report.read_text("utf-8")
    assert (
        f"With a random split, the same network could have reported an accuracy of up to {100 * claimed:.1f} % instead of "
        f"{100 * accuracy:.1f} %"
    ) in page
    told = [line for line in page.split("\n") if "random split" in line and f"({100 * share:.1f} %)" in line]
    assert len(told) == 1


def test_the_page_shows_hostile_names_as_text_and_asks_nobody(tmp_path, plant):
    evil = "<script>alert(1)</script>"
    files = {f"{evil.replace('/', '')}/{n}.png": scene(n) for n in range(12)}
    files |= {f'dogs/"><img src=x onerror=a>{n}.png': scene(n + 50) for n in range(12)}
    files["dogs/copy<b>.png"] = scene(3)
    out = tmp_path / "check.html"
    fv.check(plant(tmp_path / "pets", files), suspects=False, out=out)
    seen = _Seen()
    seen.feed(out.read_text("utf-8"))
    assert "script" not in seen.tags and "b" not in seen.tags
    assert all(source.startswith("data:") for source in seen.sources) and seen.sources
    assert not any("onerror" in attributes for attributes in seen.attributes)


class _Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.attributes = set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.append(dict(attrs))
        self.sources += [value for name, value in attrs if name == "src"]


def page_of(root, tmp_path):
    out = tmp_path / "check.html"
    fv.check(root, suspects=False, out=out)
    return out.read_text("utf-8")


def text_of(page):
    body = page.partition("</head>")[2].replace("<wbr>", "")
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_the_page_draws_copies_once_and_leads_to_them(faulty, tmp_path):
    page = page_of(faulty[0], tmp_path)
    assert page.count('alt="test/cats/again1.png"') == 1  # a leak and an exact copy
    assert re.search(r'groups of these are shown under <a href="#(label_conflict|split_leak)-\d">', page)
    leads = set(re.findall(r'href="#([^"]+)"', page))
    assert leads <= set(re.findall(r' id="([^"]+)"', page))


def test_the_page_counts_the_images_of_each_class_by_part(faulty, tmp_path):
    text = text_of(page_of(faulty[0], tmp_path))
    # 20 per folder and what was planted: 8 cats in train that can be read, 2 swapped dogs, one copy in each test folder
    assert re.search(r"Classes class train val test images as a bar cats 27 0 21 48 .*dogs 22 0 21 43", text)


def test_the_page_tells_severity_by_sign_and_word(faulty, tmp_path):
    text = text_of(page_of(faulty[0], tmp_path))
    assert re.search(r"in 2 classes: ✕ 2 errors ! 4 warnings", text)
    assert "One image, two labels ✕ error" in text and "Near-duplicates ! warning" in text


def test_the_page_has_commands_to_copy_and_says_when_it_was_made(faulty, tmp_path):
    page = page_of(faulty[0], tmp_path)
    for words in ("check {} --fix leave-out.txt", "train {} --exclude leave-out.txt"):
        assert f"foveola {words.format(faulty[0])}" in text_of(page)
    footer = text_of(page).partition("Made by foveola ")[2]
    assert re.match(rf"{re.escape(fv.__version__)} on \d+ \w+ 20\d\d, \d\d:\d\d\. This page is a single file", footer)


def test_the_page_shows_what_a_shortcut_is_told_by(tmp_path, plant, encoded):
    files = {f"cats/{n}.png": scene(n) for n in range(20)}
    files |= {f"dogs/{n}.jpg": encoded(scene(100 + n), "JPEG", quality=90) for n in range(19)}
    files["dogs/odd.png"] = scene(200)
    page = page_of(plant(tmp_path / "pets", files), tmp_path)
    text = text_of(page)
    assert "Shortcuts: file properties ✕ error" in text
    assert "Format class PNG JPEG cats 20 0 dogs 1 19" in text
    assert re.search(r"Examples cats PNG, RGB, 64 × 64, \d+ kB cats/0\.png", text)
    assert re.search(r"JPEG, quality \d+, RGB, 64 × 64, \d+ kB dogs/", text)


def test_menu_entries_of_one_kind_of_finding_differ(tmp_path, plant, encoded):
    files = {f"cats/IMG_{n:04d}.png": np.maximum(scene(n), 150) for n in range(20)}
    files |= {f"dogs/DSC{n}.jpg": encoded(scene(100 + n) // 2, "JPEG", quality=90) for n in range(20)}
    page = page_of(plant(tmp_path / "pets", files), tmp_path)
    entries = re.findall(r"</span><span>([^<]+)</span></a></li>", page)
    assert {"Shortcuts: file properties", "Shortcuts: mean colour", "Shortcuts: file names"} <= set(entries)
    assert len(entries) == len(set(entries))
    text = text_of(page)
    assert "Name pattern class IMG_#.png DSC#.jpg cats 20 0 dogs 0 20" in text
    assert "Mean red class smallest lower quarter median upper quarter largest cats" in text


@pytest.mark.parametrize("output", ["out", "fix"])
def test_a_page_or_list_that_exists_is_kept_unless_overwriting_is_asked_for(tmp_path, two_classes, output):
    root, path = two_classes(3), tmp_path / "output"
    path.write_text("edited by hand")
    message = f"{path} already exists: choose another name, or add --overwrite to replace it"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        fv.check(root, suspects=False, **{output: path})
    assert path.read_text() == "edited by hand"
    fv.check(root, suspects=False, overwrite=True, **{output: path})
    assert path.read_text() != "edited by hand"


def test_one_name_for_the_page_and_the_list_is_refused(tmp_path, two_classes):
    out = tmp_path / "both"
    message = f"{out} can't be both the page and the list: choose two names"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        fv.check(two_classes(3), out=out, fix=out)


def test_a_page_without_a_name_gets_the_next_free_one(tmp_path, two_classes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "check.html").write_text("mine")
    found = fv.check(two_classes(3), suspects=False)
    assert [found.write_page().name for _ in range(2)] == ["check-2.html", "check-3.html"]
    assert (tmp_path / "check.html").read_text() == "mine"


def test_a_place_that_can_not_be_written_is_refused_before_data_is_read(tmp_path):
    """An empty folder can't be checked either, which reading it would find."""
    (tmp_path / "a").write_text("a file in the way")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResourceError, match="not a directory"):
        fv.check(tmp_path / "empty", out=tmp_path / "a" / "check.html")
