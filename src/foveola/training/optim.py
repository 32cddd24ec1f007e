"""Optimizers: Adam, AdamW, Nesterov SGD and Muon, with the same steps as torch but a faster start.

Making any torch.optim optimizer imports torch's compiler: 2.0 s on the development machine (torch 2.13), as much as
importing torch itself, for a run that compiles nothing. The tests hold these against torch.optim.

A group is a list of parameters with its own weight decay and a learning rate relative to the run's.

Muon: convolution weights take steps that are orthogonal matrices, all other parameters take Nesterov's.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024,
https://kellerjordan.github.io/posts/muon/), with the weights' own scale fixed as in his CIFAR-10 recipe
(https://github.com/KellerJordan/cifar10-airbench, airbench94_muon).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from foveola.training.config import FitSpec


@dataclass
class Group:
    """Parameters that are treated alike, and what the optimizer remembers of each."""

    parameters: list[Tensor]
    weight_decay: float = 0.0
    lr_scale: float = 1.0
    memory: list[tuple[Tensor, ...]] = field(default_factory=list)


class Optimizer(Protocol):
    """What the loop needs of an optimizer."""

    def step(self, lr: float) -> None:
        """Change the parameters by their gradients, then forget the gradients."""


@dataclass
class Nesterov:
    """SGD with Nesterov momentum, in the form of Sutskever et al. (ICML 2013) that torch.optim.SGD has.

    g += decay * p;  v = momentum * v + g;  p -= lr * (g + momentum * v)
    """

    groups: list[Group]
    momentum: float = 0.9

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One step at this learning rate."""
        for group in self.groups:
            group.memory = group.memory or [(torch.zeros_like(p),) for p in group.parameters]
            for p, (velocity,) in zip(group.parameters, group.memory, strict=True):
                if p.grad is None:
                    continue
                g = p.grad.add_(p, alpha=group.weight_decay) if group.weight_decay else p.grad
                velocity.mul_(self.momentum).add_(g)
                p.add_(g.add_(velocity, alpha=self.momentum), alpha=-lr * group.lr_scale)
                p.grad = None


@dataclass
class Adam:
    """Adam (Kingma and Ba, 2015) with weight decay in the gradient, or decoupled as AdamW (Loshchilov and Hutter, 2019).

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    eps is Keras's 1e-7.
    """

    groups: list[Group]
    decay: Literal["gradient", "decoupled"] = "gradient"
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-7
    steps: int = 0

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One step at this learning rate."""
        self.steps += 1
        for group in self.groups:
            group.memory = group.memory or [(torch.zeros_like(p), torch.zeros_like(p)) for p in group.parameters]
            used = [
                (p, _laid_out_as(p, p.grad), *memory)
                for p, memory in zip(group.parameters, group.memory, strict=True)
                if p.grad is not None
            ]
            if not used:
                continue
            parameters, gradients, means, squares = map(list, zip(*used, strict=True))
            # What torch.optim.Adam(fused=True) calls: one pass over each tensor instead of six. For `vgg6` 0.3 ms a step
            # against 1.2 ms operation by operation (medians of 100, two cores), of some 54 ms.
            taken = torch.tensor(float(self.steps), device=parameters[0].device)
            update = torch._fused_adamw_ if self.decay == "decoupled" else torch._fused_adam_
            update(
                parameters,
                gradients,
                means,
                squares,
                [],
                [taken] * len(parameters),
                lr=lr * group.lr_scale,
                beta1=self.beta1,
                beta2=self.beta2,
                weight_decay=group.weight_decay,
                eps=self.eps,
                amsgrad=False,
                maximize=False,
            )
            for p in parameters:
                p.grad = None


def _laid_out_as(p: Tensor, gradient: Tensor) -> Tensor:
    # The fused kernels walk through memory: an element's gradient must lie where the element does.
    return gradient if gradient.stride() == p.stride() else torch.empty_like(p).copy_(gradient)


ITERATIONS = 3
"""Newton-Schulz iterations a step: three are enough for a step that is orthogonal in rough, and five learned no better."""


@dataclass
class Muon:
    """For each convolution weight W (out, in, k, k), seen as a matrix of `out` rows:

    v = momentum * v + g;  W *= L / |W|;  W -= lr * L / sqrt(out) * orthogonal(g + momentum * v)

    The length L of W is fixed, so there is no weight decay on it. It is sqrt(out), the source's, where a batch norm may
    cancel it; the weights of `own_length`, which have a bias that would not grow with them, keep the length that they begin
    with. `rest` takes its step at the same learning rate. dtype: what the matrix products compute in.
    """

    weights: list[Tensor]
    rest: Nesterov
    momentum: float = 0.6
    dtype: torch.dtype = torch.float32
    own_length: list[Tensor] = field(default_factory=list)
    velocities: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = {id(weight) for weight in self.own_length}
        self.scales = [
            float(weight.detach().norm()) / len(weight) ** 0.5 or 1.0 if id(weight) in own else 1.0
            for weight in self.weights
        ]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One step at this learning rate, then the gradients are forgotten."""
        self.velocities = self.velocities or [torch.zeros_like(weight) for weight in self.weights]
        for weight, velocity, scale in zip(self.weights, self.velocities, self.scales, strict=True):
            if weight.grad is None:
                continue
            velocity.mul_(self.momentum).add_(weight.grad)
            wanted = weight.grad.add_(velocity, alpha=self.momentum)
            weight.mul_(scale * len(weight) ** 0.5 / weight.norm().clamp_min(1e-12))
            change = orthogonal(wanted.flatten(1), self.dtype).view_as(weight)
            weight.add_(change, alpha=-lr * scale)
            weight.grad = None
        self.rest.step(lr)


def orthogonal(matrix: Tensor, dtype: torch.dtype = torch.float32, iterations: int = ITERATIONS) -> Tensor:
    """Roughly U V^T of the matrix U S V^T, float32 (rows, columns): its singular values pushed towards 1.

    The quintic Newton-Schulz iteration X <- Q(A) X, Q(A) = a + b A + c A^2 with A = X X^T and the coefficients of the
    source, chosen for a steep start: the singular values end near 1, not at it.

    Every Q is a polynomial in the first A, so all commute and the next A is Q A Q: only small square matrices are
    iterated, in float32, and the long X is multiplied twice in all, in `dtype`. In bfloat16 the six matrices of `fast` take
    2.6 ms instead of 3.4 (medians of 60, two cores), and are 0.8 % instead of 1.8 % off at most.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    x: Tensor = (wide / wide.norm().clamp_min(1e-7)).to(dtype)
    square, product = (x @ x.T).to(torch.float32), torch.eye(len(x), device=x.device)
    for last in (*[False] * (iterations - 1), True):
        q = (b * square).addmm_(square, square, alpha=c)
        q.diagonal().add_(a)
        product = q @ product
        if not last:
            square = q @ square @ q
    x = product.to(dtype) @ x
    return (x if len(matrix) <= matrix.shape[1] else x.T).to(torch.float32)


def make_optimizer(model: nn.Module, spec: FitSpec, dtype: torch.dtype = torch.float32) -> Optimizer:
    """The optimizer of the spec; dtype: what muon's matrix products compute in.

    Batch norm's parameters have no weight decay, and their own learning rate. Muon takes the weights of the
    convolutions, but not of depthwise ones: a channel's own 3x3 kernel is a row with no others to be orthogonal to.
    Those with a bias keep their length.
    """
    norms = [p for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for p in m.parameters()]
    convolutions: list[Tensor] = []
    with_bias: list[Tensor] = []
    if spec.optimizer == "muon":
        layers = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
        convolutions = [layer.weight for layer in layers if layer.weight.requires_grad]
        with_bias = [layer.weight for layer in layers if layer.bias is not None]
    treated = {id(p) for p in [*norms, *convolutions]}
    others: list[Tensor] = [p for p in model.parameters() if p.requires_grad and id(p) not in treated]
    learning_norms: list[Tensor] = [p for p in norms if p.requires_grad]
    groups = [Group(others, spec.weight_decay), Group(learning_norms, 0.0, spec.norm_lr_scale)]
    if spec.optimizer == "muon":
        return Muon(convolutions, Nesterov(groups, spec.momentum), spec.momentum, dtype, with_bias)
    if spec.optimizer == "sgd":
        return Nesterov(groups, spec.momentum)
    return Adam(groups, "gradient" if spec.optimizer == "adam" else "decoupled")
