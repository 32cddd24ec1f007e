"""ReLU and batch norm of a network that learns, pooling and dropout behind them: torch's side of `loops.norm` and `back`.

What comes out is what the layers one by one would give, but for rounding: in bfloat16 they round after every layer, here it
is once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foveola.models.fused import DTYPES, addresses, loops, words


def relu_norm(
    z: Tensor,
    norm: nn.BatchNorm2d,
    *,
    behind: tuple[nn.Module, ...] = (),
    dropout: float | None = None,
    added: Tensor | None = None,
) -> Tensor:
    """norm(relu(z)) for a norm that learns; with `dropout`, a share, pooled by 2 and dropped out too.

    z: (b, C, H, W), channels-last; the loops take float32 and bfloat16, and a norm of float32 numbers with running means.
    behind: the layers of pooling and dropout, for sides that are odd. added: what `winograd.convolve` has added up of z.
    """
    if z.dtype not in DTYPES or not takes(norm):
        return functools.reduce(lambda x, layer: layer(x), (norm, *behind), torch.relu(z))
    if dropout is not None and (z.shape[2] % 2 or z.shape[3] % 2):
        return functools.reduce(lambda x, layer: layer(x), behind, relu_norm(z, norm, added=added))
    out: Tensor = _ReluNorm.apply(z, norm.weight, norm.bias, norm, dropout, added)  # type: ignore[no-untyped-call]
    return out


def takes(norm: nn.BatchNorm2d) -> bool:
    """Whether the loops know such a norm: of float32 numbers that are learned, with running means."""
    learned = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    known = all(one is not None and one.dtype == torch.float32 and one.is_contiguous() for one in learned)
    return known and norm.momentum is not None


def statistics(z: Tensor, norm: nn.BatchNorm2d, added: Tensor | None = None) -> Tensor:
    """A batch's numbers, float32 (4, C): mean of relu(z), inverse deviation, scale and offset; the running ones move on.

    z: (b, C, H, W), channels-last; added: what `winograd.convolve` has added up of it, if it has.
    """
    run: Any = loops()
    b, c, h, w = z.shape
    numbers = torch.empty((4, c))
    own = [one.data_ptr() for one in (norm.weight, norm.bias, norm.running_mean, norm.running_var) if one is not None]
    assert norm.momentum is not None and norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    rest = *own, double(norm.momentum), double(norm.eps), numbers.data_ptr()
    if added is None:
        sums = torch.empty((2, run.CHUNKS, run.lanes_of(c)))
        run.add_relu(*words(z), *addresses(sums))
        run.normalise(*words(z), *addresses(sums), *rest)
    else:
        run.normalise_strips(32, added.data_ptr(), b, h, w, c, *rest)
    return numbers


def coefficients(
    z: Tensor, weight: Tensor, numbers: Tensor, sums: Tensor, keep: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Factors for `back`, float32 (3, C), and the gradients of the norm's weight and bias.

    numbers: of `statistics`; sums: float32 (2, ...), of `loops.add_gradients` or of `winograd.image_gradient_adding`; keep:
    what dropout multiplied by.
    """
    run: Any = loops()
    c = z.shape[1]
    factors, dweight, dbias = torch.empty((3, c)), torch.empty_like(weight), torch.empty_like(weight)
    known = (c, z.numel() // c, double(keep), weight.data_ptr(), numbers.data_ptr())
    to = dweight.data_ptr(), dbias.data_ptr(), factors.data_ptr()
    run.coefficients(32, *addresses(sums), *known, *to, sums[0].numel())
    return factors, dweight, dbias


def back(z: Tensor, dy: Tensor, factors: Tensor, winner: Tensor | None = None) -> Tensor:
    """The gradient of z out of dy, that of what came out; winner: uint8, of a pooling."""
    run: Any = loops()
    dz = torch.empty_like(z)
    where = dy.data_ptr(), 0 if winner is None else winner.data_ptr()
    run.relu_norm_back(*words(z), *where, z.shape[3], factors.data_ptr(), dz.data_ptr())
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
        run: Any = loops()
        z = z.contiguous(memory_format=torch.channels_last)
        b, c, h, w = z.shape
        numbers = statistics(z, norm, added)
        scale, offset = addresses(numbers)[2:]
        ctx.keep, best, winner = 1.0, None, None
        if dropout is None:
            y = torch.empty_like(z)
            run.relu_norm(*words(z), scale, offset, y.data_ptr())
        else:
            y = torch.empty((b, c, h // 2, w // 2), dtype=z.dtype, memory_format=torch.channels_last)
            best, winner = torch.empty_like(y), torch.empty(y.numel(), dtype=torch.uint8)
            dropped = min(round(dropout * 2**32), 2**32 - 1)
            ctx.keep = 2**32 / (2**32 - dropped)
            key = int(torch.randint(2**62, ())) * 2 + 1
            how = (w, key, dropped, _bits_of(ctx.keep), best.data_ptr(), winner.data_ptr())
            run.relu_norm_pool_drop(*words(z), scale, offset, y.data_ptr(), *how)
        ctx.save_for_backward(z, weight, numbers, best, winner)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        run: Any = loops()
        z, weight, numbers, best, winner = ctx.saved_tensors
        dy = dy.to(z.dtype).contiguous(memory_format=torch.channels_last)
        where = dy.data_ptr(), 0 if winner is None else winner.data_ptr()
        sums = torch.empty((2, run.CHUNKS, run.lanes_of(z.shape[1])))
        run.add_gradients(*words(z if best is None else best), *where, numbers.data_ptr(), *addresses(sums))
        factors, *learned = coefficients(z, weight, numbers, sums, ctx.keep)
        return back(z, dy, factors, winner), *learned, None, None, None


@functools.cache
def _bits_of(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


@functools.cache
def double(value: float) -> int:
    """The bits of a float64, as a task's word."""
    return int(np.float64(value).view(np.int64))
