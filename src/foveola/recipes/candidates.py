"""The networks that `train` compares on the validation images when the user names none, and how each of them did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from foveola.errors import ResourceError
from foveola.models.registry import MODELS, require_model
from foveola.recipes.defaults import PHOTO_PX, choose_size
from foveola.types import Size

ENLARGED_PX = 160
"""Small images are enlarged to this side for a network that is pre-trained on larger ones.

300 images, accuracy of `transfer` on 400 others at 96, 160 and 224 px: CIFAR-10 (32 px) 60.0, 66.8 and 64.2 %, hand signs
(100 px) 82.3, 88.2 and 89.7 %; `fast` on images of their own size 35.8 and 90.0 %. One run each.
"""

FEW = 1_000
"""With fewer small images the pre-trained networks come first; from here on the one that is trained from scratch.

2,062 hand signs of 100x100: `fast` 99.8 % in about 120 s, `transfer` 93.7 %. 300 of them: see ENLARGED_PX. The
first candidate is trained whatever the time limit.
"""

MOST_ENLARGED = 10_000
"""With more small images than this, training from scratch wins, and features of enlarged images take too long."""


HEAD_START: Mapping[str, float] = {"transfer_pair": 0.02}
"""How much lower, in nats, the loss of another network must be than this network's to win.

Losses that close are a coin toss on few images, and two networks together are the better bet. Held-out losses of `transfer`
and `transfer_pair` and their accuracy on 1,000 other images, seed 0: 100 flowers 0.905 and 0.913, 61.6 and 64.5 %; 100 hand
signs 0.792 and 0.799, 79.0 and 80.1 %. Where they were further apart, the lower loss was right.
"""

Outcome: TypeAlias = Literal["chosen", "compared", "skipped"]
ClassWeights: TypeAlias = Literal["none", "balanced"]


@dataclass(frozen=True)
class Candidate:
    """A network and an image size that may suit the data, and a way to train it.

    finetune: the last stages of a pre-trained network are trained, too; class_weights: as the setting of this name.
    """

    model: str
    size: Size
    finetune: bool = False
    class_weights: ClassWeights = "none"

    @property
    def settings(self) -> Mapping[str, object]:
        """The candidate as settings of `train`: those that differ from the default's."""
        out: dict[str, object] = {"model.name": self.model, "data.size": str(self.size)}
        if self.finetune:
            out["fit.finetune"] = True
        if self.class_weights != "none":
            out["fit.class_weights"] = self.class_weights
        return out

    @property
    def title(self) -> str:
        """The network, and how it is trained.

        >>> Candidate("transfer", Size(256, 256), finetune=True, class_weights="balanced").title
        'transfer, fine-tuned, with class weights'
        """
        return _title(self.model, self.finetune, self.class_weights)

    def __str__(self) -> str:
        return f"{self.title}, images of {self.size}"


def _title(model: str, finetune: bool, class_weights: ClassWeights) -> str:
    fine = ", fine-tuned" if finetune else ""
    return f"{model}{fine}" + (", with class weights" if class_weights != "none" else "")


@dataclass(frozen=True)
class CandidateResult:
    """How a candidate did on images that it was not fitted on.

    accuracy 0..1, loss in nats per image (of calibrated probabilities), images: on how many images both were measured; None
    and 0 if it was not trained; seconds: what it cost, with decoding; outcome: "chosen", "compared" or "skipped"; reason: why
    it was skipped, or why a fine-tuned network was not kept, else ""; finetune, class_weights: as in `Candidate`;
    balanced_accuracy, macro_f1: on the same images.

    A network that is trained by epochs is measured on val. A classifier on frozen features is measured on train and val by
    cross-fitting if val is small (see `LinearProbe.cross_fit`).
    """

    model: str
    size: str
    accuracy: float | None
    loss: float | None
    images: int
    seconds: float
    outcome: Outcome
    reason: str = ""
    finetune: bool = False
    class_weights: ClassWeights = "none"
    balanced_accuracy: float | None = None
    macro_f1: float | None = None

    @property
    def title(self) -> str:
        """The network, and how it was trained, as in `Candidate.title`."""
        return _title(self.model, self.finetune, self.class_weights)

    def is_better(self, than: CandidateResult) -> bool:
        """Whether this one is better: by the lower loss, which says more about few images than the accuracy.

        Some networks have a HEAD_START.
        """
        assert self.loss is not None and than.loss is not None, "both were trained"
        return self.loss - HEAD_START.get(self.model, 0.0) < than.loss - HEAD_START.get(than.model, 0.0)


def read_results(rows: Sequence[Mapping[str, Any]]) -> tuple[CandidateResult, ...]:
    """The results from the entry "candidates" of result.json."""
    return tuple(CandidateResult(**row) for row in rows)


PRETRAINED = ("transfer", "transfer_pair")


def installed() -> tuple[str, ...]:
    """The pre-trained networks whose weights are on this computer."""
    return tuple(name for name in PRETRAINED if _has_weights(name))


def _has_weights(name: str) -> bool:
    try:
        require_model(name)
    except ResourceError:
        return False
    return True


def candidates(
    heights: list[int], widths: list[int], images: int, pretrained: Sequence[str], *, size: Size | None = None
) -> tuple[Candidate, ...]:
    """The candidates for images of these heights and widths (up to 500 of them, in pixels).

    images: the number of images; pretrained: the pre-trained networks that can be used; size: if the user has chosen one, it
    is that of all candidates. The first one is the most likely winner.
    """

    def sized(model: str) -> Size:
        return size or choose_size(heights, widths, MODELS.entry(model).max_auto_px)

    if max(sized("fast")) >= PHOTO_PX:
        return tuple(Candidate(name, sized(name)) for name in pretrained)
    if images > MOST_ENLARGED:
        return ()
    enlarged = size or Size(ENLARGED_PX, ENLARGED_PX)
    larger = [Candidate(name, enlarged) for name in pretrained]
    scratch = Candidate("fast", sized("fast"))
    return (scratch, *larger) if images >= FEW else (*larger[:1], scratch, *larger[1:])
