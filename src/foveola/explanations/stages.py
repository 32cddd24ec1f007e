"""Feature maps: the outputs of a network's stages for an image."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foveola.errors import UsageError
from foveola.models.build import declared_stages
from foveola.text import unknown
from foveola.types import Images


@dataclass(frozen=True)
class FeatureMaps:
    """The feature maps of one stage for one image: float32 (C, h, w)."""

    stage: str
    values: NDArray[np.float32]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Which channels react to the image: bool (C,); in the others all pixels have the same value, after ReLU mostly 0.

        A range of a millionth of the stage's highest value counts as rounding. Maps of a single pixel are alive if it is not
        zero.
        """
        flat = self.values.reshape(len(self.values), -1)
        shown = np.ptp(flat, axis=1) if flat.shape[1] > 1 else np.abs(flat[:, 0])
        return np.asarray(shown > 1e-6 * max(1e-6, float(np.abs(flat).max())))

    @property
    def scaled(self) -> NDArray[np.float32]:
        """The maps for drawing: each from its lowest (0) to its highest value (1); NaN where a channel is not alive.

        Maps of a single pixel share one scale.
        """
        each = (1, 2) if self.values.shape[1] * self.values.shape[2] > 1 else (0, 1, 2)
        low, high = self.values.min(axis=each, keepdims=True), self.values.max(axis=each, keepdims=True)
        scaled = (self.values - low) / np.where(high > low, high - low, 1)
        return np.where(self.alive[:, None, None], scaled, np.nan).astype(np.float32)

    @property
    def dead(self) -> int:
        """The number of channels that do not react to the image."""
        return int((~self.alive).sum())


def stages_of(model: nn.Module) -> tuple[str, ...]:
    """Names of the stages that a network declares (attribute `stages`), else of all its convolutions, in their order.

    Raises UsageError for a network without any.
    """
    declared = declared_stages(model)
    found = declared or convolutions_of(model)
    if not found:
        raise UsageError("this network has no stages and no convolutions: there are no feature maps to show")
    return found


def convolutions_of(model: nn.Module) -> tuple[str, ...]:
    """Names of all convolutions, in the order of the network's modules."""
    return tuple(name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d))


def require_stage(model: nn.Module, stage: str) -> nn.Module:
    """Get a stage or a convolution by name. Raises UsageError with the known names for another name."""
    known = tuple(dict.fromkeys((*stages_of(model), *convolutions_of(model))))
    if stage not in known:
        raise UsageError(unknown("stage", stage, known))
    try:
        return model.get_submodule(stage)
    except AttributeError:
        raise UsageError(
            f"the network's attribute `stages` names '{stage}', but the network has no such layer: correct the name"
        ) from None


def require_output(stage: str, seen: Sized) -> None:
    """Raise UsageError for a stage without output in a forward pass."""
    if not len(seen):
        raise UsageError(f"stage '{stage}' does not run when the network predicts: choose another stage")


@contextlib.contextmanager
def gradient_errors_as_usage_errors(what: str) -> Iterator[None]:
    """Turn torch's errors about missing gradients (code under `torch.no_grad`, an unused branch) into a UsageError."""
    try:
        yield
    except RuntimeError as refusal:
        if "used in the graph" not in str(refusal) and "does not require grad" not in str(refusal):
            raise
        raise UsageError(
            f"the prediction has no gradient with respect to {what}: the network blocks it (torch.no_grad, detach), or does "
            "not use the layer; choose another stage, or --method occlusion or feature_maps, which need no gradient"
        ) from None


def feature_maps(model: nn.Module, image: NDArray[np.uint8], stages: Sequence[str] = ()) -> list[FeatureMaps]:
    """The feature maps of an image: the output of each stage.

    image: uint8 (H, W, 3); stages: all by default.
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
    """Within a block, record these stages' outputs in each forward pass, by name."""
    seen: dict[str, Tensor] = {}

    def note(name: str) -> object:
        # A copy, because the next layer may overwrite it (an in-place ReLU).
        return lambda layer, inputs, output: seen.__setitem__(name, output.detach().clone())

    hooks = [require_stage(model, name).register_forward_hook(note(name)) for name in stages]  # type: ignore[arg-type]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Run a block with the network in eval mode and without in-place layers, so that all layers have gradients."""
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
    """Convert images uint8 (n, H, W, 3) to the network's input: float32 (n, 3, H, W), 0..255, channels-last."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()


def _as_maps(name: str, output: Tensor) -> NDArray[np.float32]:
    if output.ndim != 4:
        shape = tuple(output.shape[1:])
        raise UsageError(
            f"stage '{name}' has an output of shape {shape}, not (channels, height, width): choose another stage"
        )
    return output[0].float().cpu().numpy()
