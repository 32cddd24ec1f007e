"""Combine neighbouring layers of an `nn.Sequential` in training: convolution, ReLU, batch norm, pooling and dropout.

The results are those of the layers one by one, but for rounding. Between two convolutions that `winograd` computes, the map
after ReLU and batch norm is never written: the first convolution adds up what the norm needs, the second normalises what it
reads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeGuard

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from foveola.models.layers import ConvSame, Dropout
from foveola_kernels import layers, winograd
from foveola_kernels.convolution import (
    PROFILER_NAMES,
    conv_with_bn_stats,
    is_rgb_conv,
    rgb_conv_gradients,
    uses_winograd,
)
from foveola_kernels.layers import relu_norm

Pair: TypeAlias = tuple[nn.Conv2d, nn.BatchNorm2d]
"""A convolution, and the batch norm after its ReLU."""

_KNOWN_FORWARD = {
    kind.forward for kind in (nn.Conv2d, ConvSame, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d, nn.Dropout, Dropout)
}


def can_fuse_layers(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether this is an `nn.Sequential` in training mode in which layers can be combined."""
    if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward:
        return False
    own = list(module)
    return module.training and "forward" not in vars(module) and any(list(_pairs(own[at:])) for at in range(len(own)))


def run_fused(module: nn.Sequential, images: Tensor) -> Tensor:
    """The forward pass of such a module."""
    return functools.reduce(lambda x, layer: layer(x), fuse_layers(list(module)), images)


def fuse_layers(own: Sequence[nn.Module]) -> Iterator[Callable[[Tensor], Tensor]]:
    """The layers in order, with [convolution, ReLU, batch norm] in a row combined, and [pooling by 2, dropout] after them."""
    at = 0
    while at < len(own):
        pairs = list(_pairs(own[at:]))
        if not pairs:
            yield own[at]
            at += 1
            continue
        at += 3 * len(pairs)
        match own[at : at + 2]:
            case [nn.MaxPool2d() as pool, nn.Dropout() as dropout] if _is_pool_by_two(pool) and _is_known(dropout):
                yield functools.partial(conv_relu_bn, pairs=pairs, behind=(pool, dropout), dropout=dropout.p)
                at += 2
            case _:
                yield functools.partial(conv_relu_bn, pairs=pairs)


def _pairs(own: Sequence[nn.Module]) -> Iterator[Pair]:
    for at in range(0, len(own), 3):
        match own[at : at + 3]:
            case [nn.Conv2d() as convolution, nn.ReLU() as relu, nn.BatchNorm2d() as norm] if (
                _is_known(convolution) and _is_known(relu) and _is_known(norm)
            ):
                yield convolution, norm
            case _:
                return


def _is_known(layer: nn.Module) -> bool:
    """Whether nothing but the class's own, known `forward` happens when the layer is called in training."""
    hooks = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
    return type(layer).forward in _KNOWN_FORWARD and "forward" not in vars(layer) and layer.training and not hooks


def _is_pool_by_two(pool: nn.MaxPool2d) -> bool:
    sizes = pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, pool.return_indices
    return _is_known(pool) and sizes == (2, 2, 0, 1, False, False)


def conv_relu_bn(
    images: Tensor, *, pairs: Sequence[Pair], behind: tuple[nn.Module, ...] = (), dropout: float | None = None
) -> Tensor:
    """norm(relu(convolution(images))) for each pair in turn, then what is `behind` the last one: see `relu_norm`."""
    (first, norm), below, added = pairs[0], None, None
    if _has_late_gradient(images, pairs):
        with torch.no_grad():
            z = first(images)
        below = images, first.weight, first.bias
    else:
        z, added = conv_with_bn_stats(first, images)
    for convolution, following in pairs[1:]:
        if below or (z.requires_grad and layers.takes(norm) and uses_winograd(convolution, z.shape)):
            learned = norm.weight, norm.bias, convolution.weight, convolution.bias
            z, added = _NormConvolution.apply(z, *learned, norm, added, *(below or (None, None, None)))  # type: ignore[no-untyped-call]
        else:
            z, added = conv_with_bn_stats(convolution, relu_norm(z, norm, added=added))
        norm, below = following, None
    return relu_norm(z, norm, behind=behind, dropout=dropout, added=added)


def _has_late_gradient(images: Tensor, pairs: Sequence[Pair]) -> bool:
    """Whether the backward pass of the second convolution can also compute the gradients of the first, an RGB one."""
    if len(pairs) < 2 or images.requires_grad or images.dtype != torch.float32:
        return False
    (first, norm), (second, _) = pairs[:2]
    between = len(images), first.out_channels, *images.shape[2:]
    return layers.takes(norm) and is_rgb_conv(first, images.shape) and uses_winograd(second, between)


class _NormConvolution(torch.autograd.Function):
    """convolution(norm(relu(z))) of 3x3 taps, padded by 1, and the sums of its output.

    below: images, weight and bias of the convolution that made z without a gradient. Their gradients are computed here: the
    gradient of z goes into them row by row and is never written.
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
        numbers = layers.statistics(z, norm, added)
        with record_function(PROFILER_NAMES[0]):
            out = winograd.convolve_with_sums(z, weight, bias, (1, 1), norm=numbers[2:])
        ctx.save_for_backward(z, norm_weight, numbers, weight, *below[:2])
        ctx.has_bias = bias is not None, below[2] is not None
        ctx.mark_non_differentiable(out[1])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        z, norm_weight, numbers, weight, images, first = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        with record_function(PROFILER_NAMES[1]):
            towards, sums = winograd.image_gradient_with_sums(dy, weight, (1, 1), z=z, mean=numbers[0])
        with record_function(PROFILER_NAMES[2]):
            of_weight, of_bias = winograd.gradients(z, dy, (1, 1), norm=numbers[2:])
        factors, *learned = layers.coefficients(z, norm_weight, numbers, sums)
        own = *learned, of_weight, of_bias if ctx.has_bias[0] else None, None, None
        if images is None:
            return layers.back(z, towards, factors), *own, None, None, None
        padding = first.shape[2] // 2, first.shape[3] // 2
        with record_function(PROFILER_NAMES[2]):
            of_first = rgb_conv_gradients(images, towards, first.shape, padding, back=(z, factors))
        return None, *own, None, of_first[0], of_first[1] if ctx.has_bias[1] else None
