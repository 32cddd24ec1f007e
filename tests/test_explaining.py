"""The verbs `explain` and `show_data`: every method on every network, and every way they are refused."""

import subprocess
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as pillow

import foveola as fv
from foveola.errors import DataError, ImageProblem, UsageError
from foveola.explanations.convolutions import max_activating
from foveola.explanations.heatmaps import gradcam
from foveola.figures import explanations as plots
from foveola.figures.style import Plot
from foveola.imaging.decode import encode
from foveola.workflows import explaining
from foveola.workflows.explaining import MOST_EMBEDDED

METHODS = (
    "embedding",
    "feature_maps",
    "gradcam",
    "hirescam",
    "integrated_gradients",
    "kernels",
    "max_activating",
    "occlusion",
    "one_pixel",
)
HEATMAPS = "gradcam, hirescam, integrated_gradients, occlusion"
AT_STAGES = "feature_maps, gradcam, hirescam, kernels, max_activating, one_pixel"
CONVOLUTIONS = (
    "block1.conv1, block1.conv2, block2, block2.conv1, block2.conv2, block3, block3.conv1, block3.conv2, whitening"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of 32x32 pictures: bright above, bright below."""
    root, rng = tmp_path_factory.mktemp("explain") / "halves", np.random.default_rng(0)
    for name, rows in (("above", slice(0, 16)), ("below", slice(16, 32))):
        (root / name).mkdir(parents=True)
        for i in range(15):
            image = rng.integers(0, 100, (32, 32, 3)).astype(np.uint8)
            image[rows] += 120
            (root / name / f"{i:02d}.png").write_bytes(encode(image))
    return root


class Plain(torch.nn.Module):
    """A network that declares no stages and works in place."""

    def __init__(self, classes):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.second = torch.nn.Conv2d(8, 8, 3, padding=1, stride=2)
        self.relu = torch.nn.ReLU(inplace=True)
        self.head = torch.nn.Linear(8, classes)

    def forward(self, images):
        return self.head(self.relu(self.second(self.relu(self.first(images)))).mean(dim=(2, 3)))


def trained(name, folder, base):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(base / "cache"))
        settings = {"fit.batch_size": 16, "fit.flip": False}
        return fv.train(folder, model=name, epochs=1, settings=settings, out=base / "run")


@pytest.fixture(scope="module", params=["alexnet_mini", "vgg6", "fast", "plain"])
def run(request, folder, tmp_path_factory):
    """A finished run of each network; "plain" is registered here."""
    if request.param == "plain":
        fv.MODELS.register("plain")(lambda *, size, classes: Plain(classes))
    yield trained(request.param, folder, tmp_path_factory.mktemp(request.param))
    if request.param == "plain":
        fv.MODELS.unregister("plain")


@pytest.mark.parametrize("method", sorted(fv.EXPLANATIONS))
def test_every_method_draws_every_network(run, folder, tmp_path, method):
    of_data = method in ("max_activating", "embedding")
    picture = folder if of_data else folder / "above" / "00.png"
    out = tmp_path / ("maps" if method == "feature_maps" else "figure.png")
    options = {"how": "pca"} if method == "embedding" else {}
    found = fv.explain(run.path, picture, out, method, **options)
    assert found.written
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in found.written)


def test_the_answer_is_explained_unless_another_class_is_named(run, folder, tmp_path):
    (answer,) = fv.predict(run.path, [folder / "below" / "03.png"])
    own = fv.explain(run.path, folder / "below" / "03.png", tmp_path / "own.png")
    assert (own.label, own.probability) == (answer.label, pytest.approx(answer.probability, abs=1e-4))
    other = fv.explain(run.path, folder / "below" / "03.png", tmp_path / "other.png", label="above")
    assert other.label == "above"


@pytest.fixture(scope="module")
def one(folder, tmp_path_factory):
    """One finished run."""
    return trained("fast", folder, tmp_path_factory.mktemp("one"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"method": "gradcm"},
            f"unknown method 'gradcm' (did you mean 'gradcam'?); known: {', '.join(sorted(METHODS))}",
        ),
        ({"stage": "block9"}, f"unknown stage 'block9' (did you mean 'block3'?); known: block1, {CONVOLUTIONS}"),
        ({"label": "abov"}, "unknown class 'abov' (did you mean 'above'?); known: above, below"),
        ({"out": "a.gif"}, "the name of a figure must end in .png, .svg or .pdf; got 'a.gif'"),
        ({"picture": "none.png"}, "there is no file {0}/none.png: check the path"),
        ({"picture": "above"}, "{0}/above is a folder, and this method takes one image: name a file"),
        ({"method": "embedding", "how": "umap"}, "unknown layout 'umap'; known: pca, tsne"),
        (
            {"method": "occlusion", "stage": "block1"},
            f"occlusion has no option --stage: leave it out, or use it with {AT_STAGES}",
        ),
        (
            {"method": "integrated_gradients", "stage": "block1"},
            f"integrated_gradients has no option --stage: leave it out, or use it with {AT_STAGES}",
        ),
        (
            {"method": "embedding", "stage": "block1"},
            f"embedding has no option --stage: leave it out, or use it with {AT_STAGES}",
        ),
        (
            {"method": "feature_maps", "label": "above"},
            f"feature_maps has no option --class: leave it out, or use it with {HEATMAPS}",
        ),
        (
            {"method": "max_activating", "label": "above"},
            f"max_activating has no option --class: leave it out, or use it with {HEATMAPS}",
        ),
        ({"place": (0, 0, 0)}, "gradcam has no option --place: leave it out, or use it with one_pixel"),
        ({"how": "tsne"}, "gradcam has no option --how: leave it out, or use it with embedding"),
        (
            {"method": "one_pixel", "stage": "conv"},
            "unknown convolution 'conv' (did you mean 'block3.conv2'?); known: block1.conv1, block1.conv2, block2.conv1, "
            "block2.conv2, block3.conv1, block3.conv2, whitening",
        ),
    ],
)
def test_what_is_refused(one, folder, tmp_path, options, said):
    options = {"picture": "above/00.png", "out": "out.png", **options}
    picture, out = folder / options.pop("picture"), tmp_path / options.pop("out")
    with pytest.raises(UsageError) as error:
        fv.explain(one.path, picture, out, **options)
    assert str(error.value) == said.format(folder)
    assert not list(tmp_path.iterdir())


def test_a_picture_that_cant_be_read(one, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    with pytest.raises(ImageProblem) as error:
        fv.explain(one.path, tmp_path / "a.jpg", tmp_path / "out.png")
    assert str(error.value) == f"{tmp_path}/a.jpg can't be read: cut short (Truncated File Read)"
    assert not (tmp_path / "out.png").exists()


def test_an_image_in_memory_is_explained_as_its_file_is(one, folder, tmp_path):
    path = folder / "below" / "03.png"
    for k, image in enumerate((pillow.open(path), np.asarray(pillow.open(path)), path.read_bytes())):
        found = fv.explain(one, image, tmp_path / f"{k}.png")
        expected = fv.explain(one, path, tmp_path / f"file-{k}.png")
        assert (found.label, found.probability) == (expected.label, pytest.approx(expected.probability))


def test_several_images_are_one_too_many(one, tmp_path):
    with pytest.raises(UsageError) as error:
        fv.explain(one, np.zeros((2, 8, 8, 3), np.uint8), tmp_path / "out.png")
    assert str(error.value) == "2 images were given, and this method takes one: give one of them"


def test_nothing_is_written_over(one, folder, tmp_path):
    (tmp_path / "there.png").write_text("mine")
    with pytest.raises(UsageError) as error:
        fv.explain(one.path, folder / "above" / "00.png", tmp_path / "there.png")
    said = f"{tmp_path}/there.png already exists: choose another name, or add --overwrite to replace it"
    assert str(error.value) == said
    assert (tmp_path / "there.png").read_text() == "mine"
    fv.explain(one.path, folder / "above" / "00.png", tmp_path / "there.png", overwrite=True)
    assert (tmp_path / "there.png").read_bytes()[:4] == b"\x89PNG"


def test_a_file_that_appears_meanwhile_stays(one, folder, tmp_path):
    out = tmp_path / "figure.png"

    @fv.EXPLANATIONS.register("overtaken")
    def overtaken(model, image, target):
        out.write_text("theirs")
        return gradcam(model, image, target)

    try:
        with pytest.raises(UsageError, match=r"figure\.png already exists: choose another name, or add --overwrite"):
            fv.explain(one, folder / "above" / "00.png", out, "overtaken")
        assert out.read_text() == "theirs"
        fv.explain(one, folder / "above" / "00.png", out, "overtaken", overwrite=True)
        assert out.read_bytes()[:4] == b"\x89PNG"
    finally:
        fv.EXPLANATIONS.unregister("overtaken")


@pytest.mark.parametrize(
    ("options", "ending"),
    [
        (["report", "{run}"], (0, "report.html")),
        (["explain", "{run}", "{image}", "out.png", "--method", "grandcam"], (2, "(did you mean 'gradcam'?)")),
        (["explain", "{run}", "{image}", "out.png", "--class", "abov"], (2, "known: above, below")),
        (["explain", "{run}", "-", "out.png", "--method", "kernels", "--how", "pca"], (2, "use it with embedding")),
        (["evaluate", "{run}", "--labels", "table.csv"], (2, "no data is given: use foveola evaluate RUN DATA")),
        (["show", "fsat"], (2, "(did you mean 'fast'?)")),
        (["train", "{folder}", "--model", "vgg16"], (2, "(did you mean 'vgg6'?)")),
    ],
)
def test_what_computes_nothing_does_not_import_torch(one, folder, tmp_path, options, ending):
    named = {"run": one.path, "folder": folder, "image": folder / "above" / "00.png"}
    code = "import sys\nfrom foveola.cli import main\ntry:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, *(option.format(**named) for option in options)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert (done.returncode, ending[1] in said.replace("\n", " ")) == (ending[0], True), said
    assert done.stdout.endswith("False\n")


def test_show_data_draws_a_data_set(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("FOVEOLA_CACHE", str(tmp_path / "cache"))
    found = fv.show_data(folder, tmp_path / "out", n=3, chain="sharpen")
    assert sorted(path.name for path in found.written) == [
        "before-after.png", "channels.png", "classes.png", "means.png", "prepared.png", "raw.png", "sizes.png", "tones.png",
    ]  # fmt: skip
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in found.written)


def test_show_data_counts_the_classes_of_a_table(folder, tmp_path):
    for path in sorted(folder.glob("*/0*.png"))[:8]:
        (tmp_path / "flat").mkdir(exist_ok=True)
        (tmp_path / "flat" / f"{path.parent.name}_{path.name}").write_bytes(path.read_bytes())
    names = sorted(path.name for path in (tmp_path / "flat").iterdir())
    rows = [f"{name},{'first' if k < 3 else 'second'}" for k, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    found = fv.show_data(tmp_path / "flat", tmp_path / "out", settings={"data.labels": str(tmp_path / "labels.csv")})
    assert (tmp_path / "out" / "classes.png") in found.written
    with pytest.raises(DataError, match="has no column for the classes"):
        (tmp_path / "bad.csv").write_text("file,colour\na,b\n")
        fv.show_data(tmp_path / "flat", tmp_path / "more", settings={"data.labels": str(tmp_path / "bad.csv")})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "the number of images per class must be from 1 to 20; got 0"),
        ({"chain": "sharpn"}, "chain 'sharpn', position 1: unknown filter 'sharpn' (did you mean 'sharpen'?); known: "),
        ({"size": "4"}, "size '4' is not WIDTHxHEIGHT with sides of 8 to 1024 pixels: write for example 224x224"),
    ],
)
def test_show_data_refuses(folder, tmp_path, options, said):
    with pytest.raises(UsageError) as error:
        fv.show_data(folder, tmp_path / "out", **options)
    assert str(error.value).startswith(said)
    assert not (tmp_path / "out").exists()


def test_the_docs_say_what_is_left_out():
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "explain.md").read_text("utf-8")
    each = signature(max_activating).parameters["each"].default
    channels = signature(plots.patches).parameters["channels"].default
    side = signature(plots.kernels).parameters["columns"].default
    assert f"the {each} patches of a data set" in page
    assert f"for the {channels} channels with the highest values" in page
    assert f"`max_activating` and `embedding` look at up to {MOST_EMBEDDED:,} images" in page
    assert f"the first {side} inputs of the first {side} outputs" in page


@pytest.mark.parametrize(("method", "said"), [("embedding", "5 images by"), ("max_activating", "its 12 strongest")])
def test_of_large_data_some_are_looked_at(one, folder, tmp_path, monkeypatch, method, said, recorder):
    monkeypatch.setattr(explaining, "MOST_EMBEDDED", 5)
    titles = []
    monkeypatch.setattr(
        Plot,
        "write",
        lambda figure, path, overwrite: titles.extend([figure.axes[0].get_title(), figure.get_suptitle()]),
    )
    seen = []
    options = {"how": "pca"} if method == "embedding" else {}
    fv.explain(
        one.path,
        folder,
        tmp_path / "out.png",
        method,
        progress=recorder(tick=lambda *tick: seen.append(tick)),
        **options,
    )
    assert any(said in title for title in titles)
    if method == "max_activating":
        assert ("Searching for patches", 5, 5) in seen


def test_the_embedding_of_a_run_that_left_some_out_is_of_its_test_part(folder, tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_text("above/03.png\n")
    settings = {"model.width1": 8, "model.width2": 8, "model.width3": 8, "fit.batch_size": 16}
    run = fv.train(
        folder, model="fast", epochs=1, settings=settings, exclude=tmp_path / "list.txt", out=tmp_path / "run"
    )
    titles = []
    monkeypatch.setattr(Plot, "write", lambda figure, path, overwrite: titles.append(figure.axes[0].get_title()))
    fv.explain(run.path, folder, tmp_path / "out.png", "embedding", how="pca")
    assert titles[0].startswith(f"{run.result['n_test']} images by the last layer")
