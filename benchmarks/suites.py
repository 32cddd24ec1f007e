"""The table of suites: which contestants answer which question, and with which commands.

Seeds are the numbers of the runs. Peers get the same images and the same number of threads, and use nothing else of foveola.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks import machine
from benchmarks.contestants import Contestant, Suite
from benchmarks.material import WORK, Material

FOVEOLA = ("-m", "foveola")
RUN = ("--seed", "{seed}", "--json", "--out", "{out}")
PEER = ("--seed", "{seed}", "--threads", "{threads}")
KERAS = "benchmarks/peers/keras/keras_course.py"

FAST = (
    ("fast, 2 epochs", ("--epochs", "2")),
    ("fast, 4 epochs", ("--epochs", "4")),
    ("fast, 8 epochs", ("--epochs", "8")),
)
"""The settings of `fast` that are compared with the peers: (name, flags of foveola train)."""

TRAINING = (
    ("test accuracy", "accuracy", "percent"),
    ("training, s", "seconds", "seconds"),
    ("whole command, s", "wall_seconds", "seconds"),
    ("images per second", "pictures_per_second", "whole"),
    ("peak memory, MB", "peak_memory_mb", "whole"),
)


def cifar(material: Material) -> Suite:
    """Accuracy against seconds on CIFAR-10."""
    quick, data = material.quick, (("cifar", material.cifar),)
    epochs = ("--epochs", "2", "--evaluate", "each")
    ours = []
    for name, flags in FAST:
        words = (*FOVEOLA, "train", "{cifar}", "--model", "fast", *(("--epochs", "1") if quick else flags), *RUN)
        ours.append(Contestant(f"foveola {name}", words, data, reads="run", curve="foveola fast"))
    peers = [
        _peer("Keras float32", "keras", KERAS, data, *epochs, estimates=True),
        _peer("Keras mixed_bfloat16", "keras", KERAS, data, "--mixed", *epochs, estimates=True),
        _peer("torch loop", "torch", "benchmarks/peers/torch/torch_loop.py", data, *epochs, estimates=True),
        _peer("fastai Learner", "fastai", "benchmarks/peers/fastai/fastai_learner.py", data, *epochs, estimates=True),
    ]
    columns = (*TRAINING, ("14 epochs, s (estimated)", "estimated_seconds", "seconds"))
    return Suite("cifar", "How fast does training reach an accuracy on CIFAR-10?", (*ours, *peers), columns)


def long(material: Material) -> Suite:
    """Accuracy after ten and after thirty minutes on CIFAR-10."""
    data, shares = (("cifar", material.cifar),), ("--set", "split.val_fraction=0.02")
    plain = ("width1=64", "width2=256", "width3=256")
    whole = ("--set", "fit.start_scale=1", "--set", "fit.batch_size=2000")
    airbench = (*(word for width in plain for word in ("--set", f"model.{width}")), *whole)
    settings = (
        ("fast_m, 18 epochs", ("--model", "fast_m", "--epochs", "18"), 5),
        ("the plain airbench recipe, 8 epochs", ("--model", "fast_m", "--epochs", "8", *airbench), 3),
        ("--budget 30m", ("--budget", "30m"), 3),
    )
    ours = []
    for name, flags, repeats in settings:
        if material.quick:
            flags = ("--model", "fast", "--epochs", "1")
        words = (*FOVEOLA, "train", "{cifar}", *flags, *shares, *RUN)
        ours.append(Contestant(f"foveola {name}", words, data, reads="run", repeats=repeats))
    return Suite("long", "What accuracy do 10 and 30 minutes give on CIFAR-10?", tuple(ours), TRAINING)


def vgg6(material: Material) -> Suite:
    """The network of the course: seconds per epoch, and accuracy."""
    data, repeats, epochs = (("cifar", material.cifar),), 5, ("--epochs", "2")
    program = ("-m", "benchmarks.ours.vgg6", "--data", "{cifar}", *epochs, "--seed", "{seed}", "--out", "{out}")
    note = "2 % of the training images choose the epoch, and the time does not include measuring them"
    ours = Contestant("foveola vgg6", program, data, repeats=repeats, note=note)
    keras = _peer("Keras float32", "keras", KERAS, data, *epochs, "--settle", "500", repeats=repeats)
    columns = (
        ("training accuracy, last epoch", "train_accuracy", "percent"),
        ("test accuracy", "accuracy", "percent"),
        ("test accuracy, last weights", "last_accuracy", "percent"),
        ("test accuracy, settled statistics", "settled_accuracy", "percent"),
        ("training, s", "seconds", "seconds"),
        ("images per second", "pictures_per_second", "whole"),
        ("50,000 images, s", "seconds_per_50000", "seconds"),
        ("peak memory, MB", "peak_memory_mb", "whole"),
    )
    return Suite("vgg6", "How long does an epoch of the course network take?", (ours, keras), columns)


def faces(material: Material) -> Suite:
    """From a folder of photos to a test accuracy, with an empty cache."""
    quick, data = material.quick, (("faces", material.faces),)
    ours = Contestant(
        "foveola, no option", (*FOVEOLA, "train", "{faces}", *(("--epochs", "1") if quick else ()), *RUN), data,
        reads="run", fresh_cache=True, repeats=10,
    )  # fmt: skip
    program, epochs = "benchmarks/peers/keras/keras_faces.py", "1" if quick else "40"
    keras = _peer("Keras, the course's network", "keras", program, data, "--epochs", epochs, repeats=10)
    columns = tuple(column for column in TRAINING if column[1] != "pictures_per_second")
    return Suite("faces", "What does one command give on 400 photos, with an empty cache?", (ours, keras), columns)


def reading(material: Material) -> Suite:
    """Files to arrays: large photos, and many small files cold and warm."""
    photos, small = (("faces", material.faces),), (("cifar10", material.cifar_files),)
    ours, theirs = ("-m", "benchmarks.ours.reading"), "benchmarks/peers/keras/tf_reading.py"
    at32: dict[str, Any] = {"places": small, "fresh_cache": True}
    contestants = (
        Contestant("photos: foveola, cold", (*ours, "--data", "{faces}"), photos, fresh_cache=True),
        _peer("photos: TensorFlow", "keras", theirs, photos, place="faces", seed=False),
        Contestant("small files: foveola, cold", (*ours, "--data", "{cifar10}", "--size", "32x32"), **at32),
        Contestant("small files: foveola, warm", (*ours, "--data", "{cifar10}", "--size", "32x32", "--fill"), **at32),
        _peer("small files: TensorFlow", "keras", theirs, small, "--size", "32", place="cifar10", seed=False),
    )
    columns = (("seconds", "seconds", "seconds"), ("images", "pictures", "whole"))
    return Suite("reading", "How long does it take to read files into arrays?", contestants, columns)


def filters(material: Material) -> Suite:
    """A chain of two filters on 60,000 images of 32x32, compared with the bare OpenCV calls in a loop."""
    program = ("-m", "benchmarks.ours.filtering", "--n", "1000" if material.quick else "60000", "--way")
    contestants = (
        Contestant("the bare OpenCV loop", (*program, "opencv"), repeats=5),
        Contestant("foveola, in memory", (*program, "chain"), repeats=5),
        Contestant(
            "foveola, as train --chain does it", (*program, "cache"), fresh_cache=True, repeats=5,
            note="it also writes the images to disk and checks them",
        ),
    )  # fmt: skip
    columns = (("seconds", "seconds", "seconds"), ("images per second", "pictures_per_second", "whole"))
    return Suite("filters", "How much slower is a chain than the bare OpenCV calls?", contestants, columns)


def inference(material: Material) -> Suite:
    """Images per second, and milliseconds for one image."""
    seconds = "0.2" if material.quick else "5"
    program = ("-m", "benchmarks.ours.inference", "--seconds", seconds, *(("--batch", "8") if material.quick else ()))
    contestants = tuple(
        Contestant(f"{model}, {size}", (*program, "--model", model, "--size", size))
        for model, size in (("fast", "32x32"), ("vgg6", "32x32"), ("alexnet_mini", "224x224"), ("transfer", "256x256"))
    )
    columns = (
        ("images per second, batch 256", "pictures_per_second_at_batch", "whole"),
        ("one image, ms", "milliseconds_for_one", "seconds"),
    )
    return Suite("inference", "How fast is prediction?", contestants, columns)


def explain(material: Material) -> Suite:
    """All explanations of one image of 224x224. The goal is ten seconds on two cores."""
    program, size = ("-m", "benchmarks.ours.explaining"), "64x64" if material.quick else "224x224"
    contestants = tuple(
        Contestant(f"{model}, {size}", (*program, "--model", model, "--size", size))
        for model in ("alexnet_mini", "transfer")
    )
    names = ("feature_maps", "kernels", "one_pixel", "gradcam", "hirescam", "occlusion", "integrated_gradients")
    columns = (("all, s", "seconds", "seconds"), *((f"{name}, s", f"{name}_seconds", "seconds") for name in names))
    return Suite("explain", "How long do all explanations of one image take?", contestants, columns)


def busy(material: Material) -> Suite:
    """Whole commands alone, and next to one busy process per core."""
    few = ("--epochs", "1") if material.quick else ()
    train = (*FOVEOLA, "train")
    photos, small = (("faces", material.faces),), (("cifar", material.cifar),)
    commands: tuple[tuple[str, tuple[str, ...], Any, str], ...] = (
        ("train, fast", (*train, "{cifar}", "--model", "fast", *(few or ("--epochs", "2")), *RUN), small, "run"),
        ("train, vgg6", (*train, "{cifar}", "--model", "vgg6", "--epochs", "1", *RUN), small, "run"),
        (
            "train, alexnet_mini",
            (*train, "{faces}", "--model", "alexnet_mini", *(few or ("--epochs", "40")), *RUN),
            photos,
            "run",
        ),
        ("train, transfer", (*train, "{faces}", "--model", "transfer", *RUN), photos, "run"),
        ("check", (*FOVEOLA, "check", "{faces}", "--out", "{out}"), photos, "nothing"),
        ("predict", (*FOVEOLA, "predict", "{run}", "{faces}"), (*photos, ("run", material.run)), "nothing"),
        ("demo", (*FOVEOLA, "demo", "{out}", *(few or ())), (), "nothing"),
    )
    contestants = tuple(
        Contestant(
            f"{name}: {'alone' if not n else f'next to {n} busy processes'}", words, places,
            reads=reads, fresh_cache=True, busy=n, chooses_threads=True,  # type: ignore[arg-type]
        )
        for name, words, places, reads in commands
        for n in (0, len(machine.cores()))
    )  # fmt: skip
    columns = (("whole command, s", "wall_seconds", "seconds"), ("test accuracy", "accuracy", "percent"))
    return Suite("busy", "How much slower are commands on a busy computer?", contestants, columns)


def scale(material: Material) -> Suite:
    """Time and memory against the number of images, and a data set larger than the allowed memory."""
    sizes = (500, 1_000, 2_000) if material.quick else (1_000, 10_000, 100_000, 1_000_000)
    program = ("-m", "benchmarks.ours.scale", "--seed", "{seed}", "--out", "{out}")
    line = [Contestant(f"n = {n:,}", (*program, "--n", str(n)), fresh_cache=True, curve="foveola", x=n) for n in sizes]
    large = ("-m", "benchmarks.ours.larger_than_memory", "--work", "{work}", "--seed", "{seed}")
    small = ("--gigabytes", "0.2", "--rows", "1024") if material.quick else ()
    work = (("work", WORK / "larger"),)
    line += [
        Contestant("20 GB memory map", (*large, *small, "--source", "map"), work),
        Contestant("the same images in memory", (*large, *small, "--source", "memory"), work),
    ]
    columns = (
        ("before the first step, s", "before_seconds", "seconds"),
        ("one epoch, s", "seconds", "seconds"),
        ("after it, s", "after_seconds", "seconds"),
        ("all, s", "whole_seconds", "seconds"),
        ("images per second", "pictures_per_second", "whole"),
        ("peak memory, MB", "peak_memory_mb", "whole"),
        ("without pages of files, MB", "own_memory_mb", "whole"),
    )
    return Suite("scale", "Do time and memory grow linearly with the number of images?", tuple(line), columns)


def _peer(
    name: str, peer: str, program: str, places: Any, *flags: str, place: str = "", seed: bool = True, **more: Any
) -> Contestant:
    data = ("--data", "{" + (place or places[0][0]) + "}")
    return Contestant(name, (program, *data, *flags, *(PEER if seed else PEER[2:])), places, peer=peer, **more)


SUITES: dict[str, Callable[[Material], Suite]] = {
    "cifar": cifar,
    "long": long,
    "vgg6": vgg6,
    "faces": faces,
    "reading": reading,
    "filters": filters,
    "inference": inference,
    "explain": explain,
    "busy": busy,
    "scale": scale,
}
"""Name -> the suite on some material; its question is the function's first line."""
