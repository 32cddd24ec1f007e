"""A network's stages, the layers whose outputs are its feature maps, and what they give for pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveola.errors import UsageError, unknown
from foveola.types import Images


@dataclass(frozen=True)
class FeatureMaps:
    """All channels of one stage for one picture: float32 (C, h, w)."""

    stage: str
    values: NDArray[np.float32]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Which channels show something: bool (C,); in the others every pixel has the same value, after ReLU mostly 0.

        A range of a millionth of the stage's greatest value is rounding, not a picture. Of maps of a single pixel those are
        alive that are not zero.
        """
        flat = self.values.reshape(len(self.values), -1)
        shown = np.ptp(flat, axis=1) if flat.shape[1] > 1 else np.abs(flat[:, 0])
        return np.asarray(shown > 1e-6 * max(1e-6, float(np.abs(flat).max())))

    @property
    def dead(self) -> int:
        """How many channels show nothing."""
        return int((~self.alive).sum())


def stages_of(model: nn.Module) -> tuple[str, ...]:
    """The stages a network declares (attribute `stages`), else all its convolutions, in the order of the network.

    Raises UsageError for a network without any.
    """
    declared = tuple(getattr(model, "stages", ()))
    found = declared or convolutions_of(model)
    if not found:
        raise UsageError("this network has no stages and no convolutions: there are no feature maps to show")
    return found


def convolutions_of(model: nn.Module) -> tuple[str, ...]:
    """The names of all convolutions, in the order in which the network holds them."""
    return tuple(name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d))


def require_stage(model: nn.Module, stage: str) -> nn.Module:
    """The layer of this name: a stage or a convolution. Raises UsageError that lists them for another."""
    known = tuple(dict.fromkeys((*stages_of(model), *convolutions_of(model))))
    if stage not in known:
        raise UsageError(unknown("stage", stage, known))
    try:
        return model.get_submodule(stage)
    except AttributeError:
        raise UsageError(
            f"the network's attribute `stages` names '{stage}', and it has no such layer: mend the name"
        ) from None


def require_output(stage: str, seen: Sized) -> None:
    """Refuse a stage of which a forward pass has left nothing. Raises UsageError."""
    if not len(seen):
        raise UsageError(f"stage '{stage}' gives nothing for a picture that is asked about: choose another")


@contextlib.contextmanager
def gradient_errors_as_usage_errors(what: str) -> Iterator[None]:
    """Turn torch's refusal to find a gradient (a trunk under `torch.no_grad`, a branch of no use) into a UsageError."""
    try:
        yield
    except RuntimeError as refusal:
        if "used in the graph" not in str(refusal) and "does not require grad" not in str(refusal):
            raise
        raise UsageError(
            f"no gradient of the answer goes back to {what}: the network cuts it off (torch.no_grad, detach), or does not "
            "use the layer; choose another stage, or --method occlusion or feature_maps, which need none"
        ) from None


def feature_maps(model: nn.Module, image: NDArray[np.uint8], stages: Sequence[str] = ()) -> list[FeatureMaps]:
    """The feature maps of an image: what each stage of the network gives for it.

    image: uint8 (H, W, 3); stages: all when none is named.
    Raises UsageError for a stage that the network does not have.
    """
    names = tuple(stages) or stages_of(model)
    with eval_mode(model), torch.inference_mode(), recorded_outputs(model, names) as seen:
        model(to_batch(image[None]))
    for name in names:
        require_output(name, seen.get(name, ()))
    return [FeatureMaps(name, _as_maps(name, seen[name])) for name in names]


@contextlib.contextmanager
def recorded_outputs(model: nn.Module, stages: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """While the block runs, each forward pass leaves these stages' outputs under their names."""
    seen: dict[str, Tensor] = {}

    def note(name: str) -> object:
        # A copy: the layer behind may overwrite it (a ReLU in place).
        return lambda layer, inputs, output: seen.__setitem__(name, output.detach().clone())

    hooks = [require_stage(model, name).register_forward_hook(note(name)) for name in stages]  # type: ignore[arg-type]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Run a block with the network in eval mode and nothing in place, so that gradients of every layer can be asked for."""
    training = model.training
    in_place = [layer for layer in model.modules() if getattr(layer, "inplace", False)]
    model.eval()
    for layer in in_place:
        layer.inplace = False  # type: ignore[assignment]
    try:
        yield
    finally:
        model.train(training)
        for layer in in_place:
            layer.inplace = True  # type: ignore[assignment]


def to_batch(images: Images) -> Tensor:
    """Pictures uint8 (n, H, W, 3) as the network takes them: float32 (n, 3, H, W), 0..255, channels-last."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()


def _as_maps(name: str, output: Tensor) -> NDArray[np.float32]:
    if output.ndim != 4:
        raise UsageError(f"stage '{name}' gives {tuple(output.shape[1:])}, no maps of height and width: choose another")
    return output[0].float().cpu().numpy()
