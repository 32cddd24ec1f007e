"""`predict`: the classes of new images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from foveola.compute.threads import adapting
from foveola.config import checks_keywords
from foveola.evaluation.calibration import require_rate
from foveola.evaluation.inputs import Inputs, gather
from foveola.jupyter import shown_in_notebooks
from foveola.runs.progress import Progress
from foveola.runs.run import open_run

if TYPE_CHECKING:
    from foveola.evaluation.predictions import Predictions


@checks_keywords()
@shown_in_notebooks
@adapting()
def predict(
    run: str | os.PathLike[str],
    images: Inputs,
    *,
    abstain: float | None = None,
    recognise: bool | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Predict labels and calibrated probabilities of images with a finished run.

    run: as for `open_run`. images: a file, a folder (all images in it), a Pillow image, an array uint8 (H, W, 3) or
    (n, H, W, 3) in RGB, the bytes of an image file, or a list of these.

    abstain: the largest acceptable error rate, 0..1, such as 0.05. Images that can't be classified at this rate get the
    label "" (don't know), and `label_set` has the possible classes. The rate holds for images like the training data.

    recognise: whether to search for training images and near-duplicates of them; `copy_of` then names the training image.
    None: only if all images lie in folders named after classes; `by_folder` measures these predictions.

    Raises UsageError for an invalid run, input or rate. An image that can't be read has a `problem` and no label.

        predictions = fv.predict("latest", ["new.jpg", "holiday"])
        predictions[0].label, predictions[0].to_dict(), predictions.to_dataframe()
    """
    opened, asked = open_run(run), gather(images)
    if abstain is not None:
        require_rate(abstain)
    from foveola.runs.predictor import Predictor  # torch, only after everything that can be refused without it

    tick = (progress or Progress()).tick
    return Predictor.open(opened).predict(asked, abstain=abstain, recognise=recognise, tick=tick)
