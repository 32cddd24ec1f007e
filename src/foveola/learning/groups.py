"""Which of a network's parameters the optimizer treats how."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from foveola.learning.fit_spec import FitSpec
from foveola.learning.muon import Muon
from foveola.learning.optimizers import Adam, Group, Nesterov, Optimizer


def make_optimizer(model: nn.Module, spec: FitSpec, dtype: torch.dtype = torch.float32) -> Optimizer:
    """The optimizer of the spec; dtype: what muon's matrix products compute in.

    Batch norm's parameters have no weight decay, and a learning rate of their own. Muon takes the weights of the
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
