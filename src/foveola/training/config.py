"""FitSpec: how to train, in numbers; and the learning rate and the size of the images at a point of the run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from foveola.config import Meaning
from foveola.data.augmentation import AugmentName
from foveola.types import Precision

Count = Annotated[int, Ge(1), Le(1_000_000)]
Share = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True)
class FitSpec:
    """How to train. `foveola list options` prints what each option does."""

    epochs: Annotated[
        Annotated[int, Ge(0), Le(1_000_000)] | Literal["auto"],
        Meaning(
            "Number of passes over the training images. 0 trains only the last layer of a pre-trained network.",
            left_out="8 to 40, to see about 400,000 images (fast, fast_m, fast_l: the pixels of 200,000 images of 32x32); 0 "
            "for transfer and transfer_pair",
        ),
    ] = "auto"
    finetune: Annotated[
        bool,
        Meaning(
            "Fine-tuning of a pre-trained network: after the last layer, train the last stages, too, and keep them if val "
            "gets better. It sets other training options, too, unless you do (see the page on fine-tuning)."
        ),
    ] = False
    epoch_images: Annotated[
        Annotated[int, Ge(0)] | list[Annotated[int, Ge(1)]],
        Meaning(
            "Number of images in an epoch. 0: all training images. A list has one number per epoch; --budget may write "
            "one.",
            values="whole number, 0 or more, or a list of whole numbers",
        ),
    ] = 0
    batch_size: Annotated[Count, Meaning("Number of images in a training step.")] = 64
    micro_batch_size: Annotated[
        int,
        Ge(0),
        Meaning(
            "Number of images in a forward pass; gradients are accumulated over the batch. 0: the whole batch. Batch norm "
            "uses the micro-batch. With smaller images (fit.start_scale) it has more of them, with equally many pixels."
        ),
    ] = 0
    optimizer: Annotated[
        Literal["adam", "adamw", "sgd", "muon"],
        Meaning(
            "Optimizer. adamw: with decoupled weight decay; sgd: with Nesterov momentum; muon: orthogonal steps for "
            "convolutions, sgd for the rest."
        ),
    ] = "adam"
    lr_peak: Annotated[float, Gt(0), Meaning("Highest learning rate.")] = 1e-3
    schedule: Annotated[
        Literal["constant", "cosine", "one-cycle"],
        Meaning("Learning rate schedule. cosine: down to 0; one-cycle: straight up, then straight down to 0."),
    ] = "constant"
    warmup_fraction: Annotated[Share, Meaning("Warm-up: share of the steps in which the learning rate rises.")] = 0.0
    weight_decay: Annotated[float, Ge(0), Meaning("Weight decay per step, in units of the learning rate.")] = 0.0
    momentum: Annotated[Share, Meaning("Momentum of sgd and muon.")] = 0.9
    label_smoothing: Annotated[
        Share, Meaning("Label smoothing: share of the target that is spread over all classes.")
    ] = 0.0
    class_weights: Annotated[
        Literal["none", "balanced"],
        Meaning(
            "Weights of the training images in the loss. none: all images count the same; balanced: all classes count the "
            "same, so that rare ones are not neglected. The probabilities are then those for equally frequent classes."
        ),
    ] = "none"
    norm_lr_scale: Annotated[
        float, Gt(0), Meaning("Learning rate of the parameters of batch norm, as a multiple of fit.lr_peak.")
    ] = 1.0
    stage_lr_factor: Annotated[
        float,
        Gt(0),
        Le(1),
        Meaning(
            "Learning rate of each stage of the network, as a multiple of the next stage's. fit.lr_peak is the last layer's."
        ),
    ] = 1.0
    augment: Annotated[
        AugmentName,
        Meaning(
            "Random changes of the training images. none: images as they are; photo: mirror, crop and scale, slight "
            "rotation, brightness, contrast and colour; flat (scans, microscopes, aerial photos): all eight rotations and "
            "mirrors, slight scale, brightness; text: no mirroring, slight shift, scale and rotation, brightness; auto: "
            "only fit.flip, fit.translate_px and fit.cutout_px."
        ),
    ] = "auto"
    flip: Annotated[
        bool,
        Meaning(
            "Also train on mirrored images (left and right swapped).",
            left_out="true; false for the embedded digits, and for augment = none or text",
        ),
    ] = True
    translate_px: Annotated[
        int, Ge(0), Le(64), Meaning("Shift training images at random by up to this many pixels.")
    ] = 0
    cutout_px: Annotated[
        int,
        Ge(0),
        Le(512),
        Meaning("Cutout: side in pixels of a square in the mean colour that covers a random place. 0: none."),
    ] = 0
    start_scale: Annotated[
        float,
        Gt(0),
        Le(1),
        Meaning(
            "Size of the images in the first steps, as a share of the full size. It grows to 1 by fit.whole_from. For "
            "networks that accept images of any size."
        ),
    ] = 1.0
    whole_from: Annotated[
        float,
        Ge(0),
        Le(1),
        Meaning("Share of the steps after which images have their full size (see fit.start_scale)."),
    ] = 0.7
    patience: Annotated[
        int,
        Ge(0),
        Meaning("Early stopping: stop after this many epochs without a better validation accuracy. 0: never."),
    ] = 0
    precision: Annotated[
        Precision, Meaning("Number format of the computation.", left_out="bfloat16 if the processor supports it")
    ] = "auto"
    device: Annotated[
        str,
        Meaning(
            "Where the network is trained.",
            values="auto, cpu, cuda, cuda:N or mps",
            left_out="the first of cuda, mps and cpu that the computer has",
        ),
    ] = "auto"

    def parts(self, images: int, area: float = 1.0) -> int:
        """The number of parts in which a batch goes through the network, if its images have this share of the full pixels.

        The number of pixels decides what fits the caches, not the number of images. A step of `fast` with 250 images of 16 px
        took 27.6 ms in one part and 30.1 in two; with 32 px there was no difference (medians of 10, three rounds, two cores
        with 32 MB of L3).

        >>> spec = FitSpec(micro_batch_size=125)
        >>> spec.parts(250), spec.parts(250, 0.5625), spec.parts(250, 0.25), FitSpec().parts(250)
        (2, 2, 1, 1)
        """
        return max(1, math.ceil(images * area / self.micro_batch_size)) if self.micro_batch_size else 1


def schedule(spec: FitSpec, done: float) -> float:
    """The learning rate at a point of the run, as a multiple of lr_peak; `done` is the share of the steps taken, 0..1.

    >>> cosine = FitSpec(schedule="cosine", warmup_fraction=0.5)
    >>> [round(schedule(cosine, done), 2) for done in (0.0, 0.25, 0.5, 0.75)]
    [0.0, 0.5, 1.0, 0.5]
    """
    warmup = spec.warmup_fraction
    if done < warmup:
        return done / warmup
    rest = (done - warmup) / (1 - warmup)
    if spec.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * rest))
    return 1 - rest if spec.schedule == "one-cycle" else 1.0


def scale(spec: FitSpec, done: float) -> float:
    """The side of the training images at a point of the run, as a share of the whole; `done` as above.

    It is start_scale in the first four sevenths of `whole_from`, half way between start_scale and 1 in the other three,
    then 1. The network learns coarse shapes at a fraction of the cost.

    Method: progressive resizing, J. Howard, "Training Imagenet in 3 hours for $25" (fast.ai, 2018);
    M. Tan and Q. Le, "EfficientNetV2" (2021, arXiv:2104.00298), section 4.

    >>> [scale(FitSpec(start_scale=0.5), done) for done in (0.0, 0.4, 0.7)]
    [0.5, 0.75, 1.0]
    """
    if done < spec.whole_from * 4 / 7:
        return spec.start_scale
    return (1 + spec.start_scale) / 2 if done < spec.whole_from else 1.0
