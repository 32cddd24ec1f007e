"""FitSpec: how to train, in numbers; and what it says about a point of the run: learning rate and size of the pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from foveola.learning.device import Precision

Count = Annotated[int, Ge(1), Le(1_000_000)]
Share = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True)
class FitSpec:
    """How to train.

    epochs: passes over train ("auto": chosen by the number of pictures; 0: only the head of a network with ready
    features is fitted); epoch_pictures: how many pictures count as an epoch (0: all of train), or a list, one number
    an epoch; batch_size: pictures a step; micro_batch_size: pictures that go through the network at once, their
    gradients added up until the step (0: all of the batch; batch norm sees a micro-batch); of smaller pictures
    (`start_scale`) as many more as have the same pixels; optimizer: adam, adamw (decoupled weight decay), sgd
    (Nesterov momentum) or muon (orthogonal steps for convolutions, sgd for the rest); lr_peak: the highest learning
    rate; schedule: constant, cosine (down to 0) or one-cycle (straight up, straight down to 0); warmup_fraction:
    share of the steps on the way up; weight_decay: per step, in units of the learning rate; momentum: sgd's and
    muon's; label_smoothing: share of the target spread over all classes; norm_lr_scale: learning rate of batch norm's
    own parameters in lr_peaks; flip: mirror left-right; translate_px: shifts by up to this many pixels; cutout_px: a
    square of this side is covered at a random place of every picture (0: none); start_scale: the side of the pictures
    in the first steps, as a share of the whole (see `scale`); whole_from: the share of the steps after which they are
    whole; patience: stop after so many epochs without a better val accuracy (0: never); precision: auto, float32 or
    bfloat16; device: auto, cpu, cuda, cuda:N or mps.
    """

    epochs: Annotated[int, Ge(0), Le(1_000_000)] | Literal["auto"] = "auto"
    epoch_pictures: Annotated[int, Ge(0)] | list[Annotated[int, Ge(1)]] = 0
    batch_size: Count = 64
    micro_batch_size: Annotated[int, Ge(0)] = 0
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    lr_peak: Annotated[float, Gt(0)] = 1e-3
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    warmup_fraction: Share = 0.0
    weight_decay: Annotated[float, Ge(0)] = 0.0
    momentum: Share = 0.9
    label_smoothing: Share = 0.0
    norm_lr_scale: Annotated[float, Gt(0)] = 1.0
    flip: bool = True
    translate_px: Annotated[int, Ge(0), Le(64)] = 0
    cutout_px: Annotated[int, Ge(0), Le(512)] = 0
    start_scale: Annotated[float, Gt(0), Le(1)] = 1.0
    whole_from: Annotated[float, Ge(0), Le(1)] = 0.7
    patience: Annotated[int, Ge(0)] = 0
    precision: Precision = "auto"
    device: str = "auto"

    def parts(self, pictures: int, area: float = 1.0) -> int:
        """In how many parts a batch goes through the network, its pictures having this share of the whole's pixels.

        What fits the caches is a number of pixels, not of pictures: `fast` took 27.6 ms a step of 250 pictures of 16 px in
        one part and 30.1 in two, and as long either way for 32 px (medians of 10, three rounds, two cores with 32 MB of L3).

        >>> spec = FitSpec(micro_batch_size=125)
        >>> spec.parts(250), spec.parts(250, 0.5625), spec.parts(250, 0.25), FitSpec().parts(250)
        (2, 2, 1, 1)
        """
        return max(1, math.ceil(pictures * area / self.micro_batch_size)) if self.micro_batch_size else 1


def schedule(spec: FitSpec, done: float) -> float:
    """The learning rate at a point of the run, in lr_peaks; `done` is the share of the steps taken, 0..1.

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
    """The side of the training pictures at a point of the run, as a share of the whole; `done` as above.

    start_scale for the first four sevenths of `whole_from`, half way between it and 1 for the other three, then 1:
    coarse shapes are learned at a fraction of the cost.

    Method: progressive resizing, J. Howard, "Training Imagenet in 3 hours for $25" (fast.ai, 2018);
    M. Tan and Q. Le, "EfficientNetV2" (2021, arXiv:2104.00298), section 4.

    >>> [scale(FitSpec(start_scale=0.5), done) for done in (0.0, 0.4, 0.7)]
    [0.5, 0.75, 1.0]
    """
    if done < spec.whole_from * 4 / 7:
        return spec.start_scale
    return (1 + spec.start_scale) / 2 if done < spec.whole_from else 1.0
