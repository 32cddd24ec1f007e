"""Adam, AdamW and Nesterov SGD, step by step as torch computes them, without what torch's own cost to start.

Making any torch.optim optimizer imports torch's compiler: 2.0 s on the development machine (torch 2.13), as much as
importing torch itself, for a run that compiles nothing. The tests hold these against torch.optim.

A group is a list of parameters with a learning rate in units of the run's and a weight decay of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor


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
        correction1, correction2 = 1 - self.beta1**self.steps, 1 - self.beta2**self.steps
        for group in self.groups:
            rate = lr * group.lr_scale
            group.memory = group.memory or [(torch.zeros_like(p), torch.zeros_like(p)) for p in group.parameters]
            for p, (mean, square) in zip(group.parameters, group.memory, strict=True):
                if p.grad is None:
                    continue
                g = p.grad
                if group.weight_decay and self.decay == "decoupled":
                    p.mul_(1 - rate * group.weight_decay)
                elif group.weight_decay:
                    g = g.add_(p, alpha=group.weight_decay)
                mean.lerp_(g, 1 - self.beta1)
                square.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
                below = square.sqrt().div_(correction2**0.5).add_(self.eps)
                p.addcdiv_(mean, below, value=-rate / correction1)
                p.grad = None
