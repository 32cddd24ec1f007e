"""Layers between convolutions in training: ReLU and batch norm, with or without max pooling and dropout; max pooling alone.

The results are those of torch's layers one by one, but for rounding: in bfloat16 torch rounds after every layer, these
functions once. Max pooling alone has the same bits as torch's.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foveola_kernels.availability import DTYPES, bits, kernels, pack_args, row_pointers


def relu_norm(
    z: Tensor,
    norm: nn.BatchNorm2d,
    *,
    behind: tuple[nn.Module, ...] = (),
    dropout: float | None = None,
    added: Tensor | None = None,
) -> Tensor:
    """norm(relu(z)) in training mode; with `dropout`, a share, also max-pooled by 2 and dropped out.

    z: (b, C, H, W), channels-last. `takes` says which norms are computed here; others run layer by layer, as does z of
    another type than float32 and bfloat16, and z with a single value per channel, which torch refuses.
    behind: the layers of pooling and dropout, for odd sides. added: the sums of `winograd.convolve_with_sums` for z.
    """
    if z.dtype not in DTYPES or z.ndim != 4 or len(z) * z.shape[2] * z.shape[3] < 2 or not takes(norm):
        return functools.reduce(lambda x, layer: layer(x), (norm, *behind), torch.relu(z))
    if dropout is not None and (z.shape[2] % 2 or z.shape[3] % 2):
        return functools.reduce(lambda x, layer: layer(x), behind, relu_norm(z, norm, added=added))
    out: Tensor = _ReluNorm.apply(z, norm.weight, norm.bias, norm, dropout, added)  # type: ignore[no-untyped-call]
    return out


def takes(norm: nn.BatchNorm2d) -> bool:
    """Whether the kernels compute this batch norm: in training, with float32 weight, bias, running mean and variance."""
    learned = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    known = all(one is not None and one.dtype == torch.float32 and one.is_contiguous() for one in learned)
    return known and norm.training and norm.momentum is not None


def statistics(z: Tensor, norm: nn.BatchNorm2d, added: Tensor | None = None) -> Tensor:
    """A batch's statistics, float32 (4, C): mean of relu(z), inverse deviation, scale and offset. Updates the running ones.

    z: (b, C, H, W), channels-last; added: the sums of `winograd.convolve_with_sums` for z, if there are any.
    """
    run = kernels()
    b, c, h, w = z.shape
    numbers = torch.empty((4, c))
    own = [one.data_ptr() for one in (norm.weight, norm.bias, norm.running_mean, norm.running_var) if one is not None]
    assert norm.momentum is not None and norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    rest = *own, double(norm.momentum), double(norm.eps), numbers.data_ptr()
    if added is None:
        sums = torch.empty((2, run.CHUNKS, run.lanes_of(c)))
        run.add_relu(*pack_args(z), *row_pointers(sums))
        run.normalise(*pack_args(z), *row_pointers(sums), *rest)
    else:
        run.normalise_strips(32, added.data_ptr(), b, h, w, c, *rest)
    return numbers


def coefficients(
    z: Tensor, weight: Tensor, numbers: Tensor, sums: Tensor, keep: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Factors for `back`, float32 (3, C), and the gradients of the norm's weight and bias.

    numbers: from `statistics`; sums: float32 (2, ...), from `compiled.add_gradients` or `winograd.image_gradient_with_sums`;
    keep: the factor of dropout.
    """
    run = kernels()
    c = z.shape[1]
    factors, dweight, dbias = torch.empty((3, c)), torch.empty_like(weight), torch.empty_like(weight)
    known = (c, z.numel() // c, double(keep), weight.data_ptr(), numbers.data_ptr())
    to = dweight.data_ptr(), dbias.data_ptr(), factors.data_ptr()
    run.coefficients(32, *row_pointers(sums), *known, *to, sums[0].numel())
    return factors, dweight, dbias


def back(z: Tensor, dy: Tensor, factors: Tensor, winner: Tensor | None = None) -> Tensor:
    """The gradient of z from dy, the gradient of the output; winner: uint8, from a pooling."""
    run = kernels()
    dz = torch.empty_like(z)
    where = dy.data_ptr(), 0 if winner is None else winner.data_ptr()
    run.relu_norm_back(*pack_args(z), *where, z.shape[3], factors.data_ptr(), dz.data_ptr())
    return dz


class _ReluNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm: nn.BatchNorm2d,
        dropout: float | None,
        added: Tensor | None,
    ) -> Tensor:
        run = kernels()
        z = z.contiguous(memory_format=torch.channels_last)
        b, c, h, w = z.shape
        numbers = statistics(z, norm, added)
        scale, offset = row_pointers(numbers)[2:]
        ctx.keep, best, winner = 1.0, None, None
        if dropout is None:
            y = torch.empty_like(z)
            run.relu_norm(*pack_args(z), scale, offset, y.data_ptr())
        else:
            y = torch.empty((b, c, h // 2, w // 2), dtype=z.dtype, memory_format=torch.channels_last)
            best, winner = torch.empty_like(y), torch.empty(y.numel(), dtype=torch.uint8)
            dropped = min(round(dropout * 2**32), 2**32 - 1)
            ctx.keep = 2**32 / (2**32 - dropped)
            key = int(torch.randint(2**62, ())) * 2 + 1
            how = (w, key, dropped, _bits_of(ctx.keep), best.data_ptr(), winner.data_ptr())
            run.relu_norm_pool_drop(*pack_args(z), scale, offset, y.data_ptr(), *how)
        ctx.save_for_backward(z, weight, numbers, best, winner)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        run = kernels()
        z, weight, numbers, best, winner = ctx.saved_tensors
        dy = dy.to(z.dtype).contiguous(memory_format=torch.channels_last)
        where = dy.data_ptr(), 0 if winner is None else winner.data_ptr()
        sums = torch.empty((2, run.CHUNKS, run.lanes_of(z.shape[1])))
        run.add_gradients(*pack_args(z if best is None else best), *where, numbers.data_ptr(), *row_pointers(sums))
        factors, *learned = coefficients(z, weight, numbers, sums, ctx.keep)
        return back(z, dy, factors, winner), *learned, None, None, None


@functools.cache
def _bits_of(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


@functools.cache
def double(value: float) -> int:
    """The bits of a float64 as an int64, to be passed to a task."""
    return int(np.float64(value).view(np.int64))


def max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`torch.nn.functional.max_pool2d`; pooling by 2 in training is computed here, in a third of torch's time.

    It is faster because the gradient's zeros are not written first (docs/why/speed.md).
    """
    by_two = _is(kernel_size, 2) and (stride is None or stride == [] or _is(stride, 2))
    plain = _is(padding, 0) and _is(dilation, 1) and not ceil_mode and not return_indices
    if not (by_two and plain and _can_pool(input)):
        pool: Any = F.max_pool2d
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _MaxPool.apply(input)  # type: ignore[no-untyped-call]


def _is(value: int | Sequence[int], number: int) -> bool:
    return value == number if isinstance(value, int) else all(side == number for side in value)


def _can_pool(images: Tensor) -> bool:
    fits = images.ndim == 4 and images.dtype in DTYPES and images.device.type == "cpu"
    return fits and images.requires_grad and torch.is_grad_enabled() and min(images.shape[2:]) >= 2


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        run = kernels()
        z = z.contiguous(memory_format=torch.channels_last)
        b, c, h, w = ctx.shape = z.shape
        y = torch.empty((b, c, h // 2, w // 2), dtype=z.dtype, memory_format=torch.channels_last)
        winner = torch.empty(y.numel(), dtype=torch.uint8)
        run.max_pool(bits(z), z.data_ptr(), b, h, w, c, y.data_ptr(), winner.data_ptr())
        ctx.save_for_backward(winner)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        run = kernels()
        (winner,) = ctx.saved_tensors
        b, c, h, w = ctx.shape
        dy = dy.contiguous(memory_format=torch.channels_last)
        dz = torch.empty(ctx.shape, dtype=dy.dtype, memory_format=torch.channels_last)
        run.max_pool_back(bits(dz), dz.data_ptr(), b, h, w, c, dy.data_ptr(), winner.data_ptr())
        return dz
