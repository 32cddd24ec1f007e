"""A network's convolutions alone, with nothing around them: by torch, and by foveola-kernels where it computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foveola.models.accelerate import accelerated

CPU = torch.device("cpu")

Calls = tuple[Callable[[], object], Callable[[], object]]
"""Forward and backward, to be called."""


@dataclass(frozen=True)
class Bare:
    """One convolution alone: its shape in words, forward and backward by torch, and by foveola-kernels where it computes it.

    flops: floating point operations of forward and backward, as sums of products count them.
    """

    name: str
    by_torch: Calls
    by_kernels: Calls | None
    flops: tuple[float, float]


def shapes(model: nn.Module, images: Tensor, parts: int) -> list[tuple[nn.Conv2d, Tensor, tuple[bool, bool, bool]]]:
    """Every convolution, what goes into it, and which gradients it must give: of input, weight and bias."""
    found = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.Conv2d)
        bias = layer.bias is not None and layer.bias.requires_grad
        found.append((layer, inputs[0].detach(), (inputs[0].requires_grad, layer.weight.requires_grad, bias)))

    hooks = [m.register_forward_pre_hook(note) for m in model.modules() if isinstance(m, nn.Conv2d)]
    model(images.tensor_split(parts)[0])
    for hook in hooks:
        hook.remove()
    return found


def alone(layer: nn.Conv2d, example: Tensor, needs: tuple[bool, bool, bool], dtype: torch.dtype) -> Bare:
    """The layer's convolution with nothing around it."""
    x = torch.randn(example.shape).to(dtype).contiguous(memory_format=torch.channels_last)
    w = layer.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
    bias = None if layer.bias is None else layer.bias.detach().to(dtype)
    side = (layer.kernel_size[0] - 1) // 2 if layer.padding != (0, 0) or type(layer) is not nn.Conv2d else 0
    stride, padding = list(layer.stride), [side, side]

    def forward() -> Tensor:
        return torch.nn.functional.conv2d(x, w, bias, layer.stride, (side, side))

    gradient = torch.randn_like(forward())
    sizes = [len(bias)] if bias is not None else None

    def backward() -> None:
        torch.ops.aten.convolution_backward(
            gradient, x, w, sizes, stride, padding, [1, 1], False, [0, 0], layer.groups, list(needs)
        )

    flops = 2.0 * w[0].numel() * gradient.numel()
    kernel = "x".join(map(str, layer.kernel_size))
    name = f"{x.shape[1]} to {w.shape[0]}, {kernel}, at {x.shape[2]}x{x.shape[3]}"
    by_torch = (forward, backward if any(needs) else nothing)
    return Bare(
        name, by_torch, kernels_of((x, w, bias), (side, side), needs, gradient), (flops, flops * sum(needs[:2]))
    )


def kernels_of(
    tensors: tuple[Tensor, Tensor, Tensor | None], padding: tuple[int, int], needs: Sequence[bool], gradient: Tensor
) -> Calls | None:
    """Forward and backward of this input, weight and bias by foveola-kernels; None where it leaves all to torch."""
    leaves = [None if t is None else t.clone().requires_grad_(need) for t, need in zip(tensors, needs, strict=True)]
    x, w, bias = leaves
    assert x is not None and w is not None

    def forward() -> Tensor:
        with accelerated(nn.Identity(), CPU, x.dtype):
            return torch.nn.functional.conv2d(x, w, bias, 1, padding)

    out, wanted = forward(), [t for t in leaves if t is not None and t.requires_grad]
    if type(out.grad_fn).__name__ != "_ConvolutionBackward":
        return None
    return forward, lambda: torch.autograd.grad(out, wanted, gradient, retain_graph=True)


def nothing() -> None:
    """What a layer whose input and weights need no gradient has to do on the way back."""
