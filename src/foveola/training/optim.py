"""Optimizers: Adam, AdamW, Nesterov SGD and Muon, with the same steps as torch but a faster start.

Creating any optimizer of torch.optim imports torch's compiler: 2.0 s on the development machine (torch 2.13), as much as
importing torch itself, although nothing is compiled. The tests compare these optimizers with torch.optim.

Muon takes steps that are orthogonal matrices for the weights of convolutions, and Nesterov steps for all other parameters.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024,
https://kellerjordan.github.io/posts/muon/), with the weights' own scale fixed as in his CIFAR-10 recipe
(https://github.com/KellerJordan/cifar10-airbench, airbench94_muon).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from foveola.models.stage_depths import stage_depths
from foveola.training.config import FitSpec


@dataclass
class Group:
    """Parameters with the same weight decay and relative learning rate, and the optimizer's state of each."""

    parameters: list[Tensor]
    weight_decay: float = 0.0
    lr_scale: float = 1.0
    memory: list[tuple[Tensor, ...]] = field(default_factory=list)


class Optimizer(Protocol):
    """What the loop needs of an optimizer."""

    def step(self, lr: float) -> None:
        """Change the parameters by their gradients, then remove the gradients."""


@dataclass
class Nesterov:
    """SGD with Nesterov momentum, in the form of Sutskever et al. (ICML 2013) that torch.optim.SGD has.

    g += decay * p;  v = momentum * v + g;  p -= lr * (g + momentum * v)
    """

    groups: list[Group]
    momentum: float = 0.9

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Take one step with this learning rate."""
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
        """Take one step with this learning rate."""
        self.steps += 1
        for group in self.groups:
            group.memory = group.memory or [(torch.zeros_like(p), torch.zeros_like(p)) for p in group.parameters]
            used = [
                (p, _with_strides_of(p, p.grad), *memory)
                for p, memory in zip(group.parameters, group.memory, strict=True)
                if p.grad is not None
            ]
            if not used:
                continue
            parameters, gradients, means, squares = map(list, zip(*used, strict=True))
            # torch.optim.Adam(fused=True) calls this: one pass over each tensor and not six. For `vgg6` it takes 0.3 ms and
            # not 1.2 ms (medians of 100, two cores), of about 54 ms in all.
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


def _with_strides_of(p: Tensor, gradient: Tensor) -> Tensor:
    # The fused kernels go through memory in order, so parameter and gradient need the same strides.
    return gradient if gradient.stride() == p.stride() else torch.empty_like(p).copy_(gradient)


ITERATIONS = 3
"""Newton-Schulz iterations per step: three give a roughly orthogonal step, and five trained no better."""


@dataclass
class Muon:
    """Muon. For each convolution weight W (out, in, k, k), as a matrix of `out` rows:

    v = momentum * v + g;  W *= L / |W|;  W -= lr * L / sqrt(out) * orthogonal(g + momentum * v)

    The length L of W is fixed, so it has no weight decay. As in the source, L is sqrt(out), because a batch norm cancels
    it. The weights in `own_length` have a bias, which would not grow with them, and keep their initial length. `rest` takes
    its step with the same learning rate. dtype: the precision of the matrix products.
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
        """Take one step with this learning rate, then remove the gradients."""
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
    """Approximately U V^T of the matrix U S V^T, float32 (rows, columns): its singular values move towards 1.

    The quintic Newton-Schulz iteration X <- Q(A) X, Q(A) = a + b A + c A^2 with A = X X^T and the coefficients of the
    source, which start fast: the singular values end near 1, not at 1.

    Every Q is a polynomial in the first A, so all of them commute, and the next A is Q A Q. Therefore only small square
    matrices are iterated, in float32, and the long X is multiplied only twice, in `dtype`. In bfloat16 the six matrices of
    `fast` take 2.6 ms and not 3.4 (medians of 60, two cores), with an error of at most 0.8 % and not 1.8 %.
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
    """The optimizer of the spec; dtype: the precision of muon's matrix products.

    The parameters of batch norm have no weight decay, and a learning rate of their own. Each stage of the network has the
    learning rate of the next one times `stage_lr_factor` (J. Howard and S. Ruder, "Universal Language Model Fine-tuning for
    Text Classification", 2018, arXiv:1801.06146, section 3.2: "discriminative fine-tuning"). Muon updates the weights of
    convolutions, but not of depthwise ones: there each kernel is a single row, with no other row to be orthogonal to.
    Weights with a bias keep their length.
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
    depths = _depths(model, spec)
    groups = [
        *(Group(some, spec.weight_decay, scale) for some, scale in _by_stage(others, depths, spec)),
        *(Group(some, 0.0, spec.norm_lr_scale * scale) for some, scale in _by_stage(learning_norms, depths, spec)),
    ]
    if spec.optimizer == "muon":
        return Muon(convolutions, Nesterov(groups, spec.momentum), spec.momentum, dtype, with_bias)
    if spec.optimizer == "sgd":
        return Nesterov(groups, spec.momentum)
    return Adam(groups, "gradient" if spec.optimizer == "adam" else "decoupled")


def _depths(model: nn.Module, spec: FitSpec) -> dict[int, int]:
    """The depth of each parameter, by its id; all 0 if all stages have one learning rate."""
    if spec.stage_lr_factor == 1:
        return {}
    depths = stage_depths(model)
    return {id(parameter): depths[name] for name, parameter in model.named_parameters()}


def _by_stage(parameters: list[Tensor], depths: dict[int, int], spec: FitSpec) -> Iterator[tuple[list[Tensor], float]]:
    """The parameters of each depth, and their learning rate as a multiple of the last layer's."""
    for depth in sorted({depths.get(id(p), 0) for p in parameters}):
        yield [p for p in parameters if depths.get(id(p), 0) == depth], spec.stage_lr_factor**depth
