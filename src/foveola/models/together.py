"""A classic network's layers for a network that learns on the processor: which ones are taken together, and how.

What comes out is what the layers one by one would give, but for rounding. Between two convolutions that are `winograd`'s, the
map of the ReLU and batch norm is never written: the first adds up what the norm must know, the second norms what it reads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from foveola.models import norms, winograd
from foveola.models.convolve import NAMES, added_up, narrow, quick
from foveola.models.direct import narrow_gradients
from foveola.models.layers import Dropout
from foveola.models.norms import relu_norm

Pair: TypeAlias = tuple[nn.Conv2d, nn.BatchNorm2d]
"""A convolution, and the batch norm behind its ReLU."""


def pieces(layers: Sequence[nn.Module]) -> Iterator[Callable[[Tensor], Tensor]]:
    """The layers in order; some [convolution, ReLU, batch norm] in a row are one, with [pooling of 2, dropout] at the end."""
    at = 0
    while at < len(layers):
        pairs = list(_pairs(layers[at:]))
        if not pairs:
            yield layers[at]
            at += 1
            continue
        at += 3 * len(pairs)
        match layers[at : at + 2]:
            case [nn.MaxPool2d(kernel_size=2, stride=2) as pool, Dropout() as dropout]:
                yield functools.partial(together, pairs=pairs, behind=(pool, dropout), dropout=dropout.p)
                at += 2
            case _:
                yield functools.partial(together, pairs=pairs)


def _pairs(layers: Sequence[nn.Module]) -> Iterator[Pair]:
    for at in range(0, len(layers), 3):
        match layers[at : at + 3]:
            case [nn.Conv2d() as convolution, nn.ReLU(), nn.BatchNorm2d() as norm]:
                yield convolution, norm
            case _:
                return


def together(
    images: Tensor, *, pairs: Sequence[Pair], behind: tuple[nn.Module, ...] = (), dropout: float | None = None
) -> Tensor:
    """norm(relu(convolution(images))) for each pair in turn; what is behind the last one is `relu_norm`'s."""
    (first, norm), below, added = pairs[0], None, None
    if _learns_late(images, pairs):
        with torch.no_grad():
            z = first(images)
        below = images, first.weight, first.bias
    else:
        z, added = added_up(first, images)
    for convolution, following in pairs[1:]:
        if below or (z.requires_grad and norms.takes(norm) and quick(convolution, z.shape)):
            learned = norm.weight, norm.bias, convolution.weight, convolution.bias
            z, added = _NormConvolution.apply(z, *learned, norm, added, *(below or (None, None, None)))  # type: ignore[no-untyped-call]
        else:
            z, added = added_up(convolution, relu_norm(z, norm, added=added))
        norm, below = following, None
    return relu_norm(z, norm, behind=behind, dropout=dropout, added=added)


def _learns_late(images: Tensor, pairs: Sequence[Pair]) -> bool:
    """Whether the first convolution is one of few channels whose gradients the second one's `_NormConvolution` can give."""
    if len(pairs) < 2 or images.requires_grad or images.dtype != torch.float32:
        return False
    (first, norm), (second, _) = pairs[:2]
    between = len(images), first.out_channels, *images.shape[2:]
    return norms.takes(norm) and narrow(first, images.shape) and quick(second, between)


class _NormConvolution(torch.autograd.Function):
    """convolution(norm(relu(z))) of 3x3 taps, padded by 1, and what was added up of it.

    With `below`, images, weight and bias of the convolution that z is from, without a gradient of its own, the gradients of
    those are given here: that of z goes into them row by row and is never written.
    """

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        norm: nn.BatchNorm2d,
        added: Tensor | None,
        *below: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        z = z.contiguous(memory_format=torch.channels_last)
        numbers = norms.statistics(z, norm, added)
        with record_function(NAMES[0]):
            out = winograd.convolve_adding(z, weight, bias, (1, 1), norm=numbers[2:])
        ctx.save_for_backward(z, norm_weight, numbers, weight, *below[:2])
        ctx.has_bias = bias is not None, below[2] is not None
        ctx.mark_non_differentiable(out[1])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        z, norm_weight, numbers, weight, images, first = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        with record_function(NAMES[1]):
            towards, sums = winograd.image_gradient_adding(dy, weight, (1, 1), beside=z, mean=numbers[0])
        with record_function(NAMES[2]):
            of_weight, of_bias = winograd.gradients(z, dy, (1, 1), norm=numbers[2:])
        factors, *learned = norms.coefficients(z, norm_weight, numbers, sums)
        own = *learned, of_weight, of_bias if ctx.has_bias[0] else None, None, None
        if images is None:
            return norms.back(z, towards, factors), *own, None, None, None
        padding = first.shape[2] // 2, first.shape[3] // 2
        with record_function(NAMES[2]):
            of_first = narrow_gradients(images, towards, first.shape, padding, back=(z, factors))
        return None, *own, None, of_first[0], of_first[1] if ctx.has_bias[1] else None
