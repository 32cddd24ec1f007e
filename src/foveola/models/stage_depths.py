"""How far each parameter of a network is from its output, counted in stages, for learning rates that differ by stage."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from foveola.models.build import declared_stages


def stage_depths(model: nn.Module) -> dict[str, int]:
    """For each parameter, by its name: 0 in the last layer, 1 in the last stage, 2 in the stage before it, and so on.

    The stages are those that the network declares (`build.Staged`); all others are the last layer. Stages
    of networks side by side are as deep as each other if the last parts of their names agree ("lite0.top", "lite2.top").
    For any other network they are its children, the last of which is the last layer (see `_children`).
    """
    declared = declared_stages(model)
    groups = _side_by_side(declared) if declared else [[name] for name in _children(model)]
    deepest = len(groups) if declared else len(groups) - 1
    depth_of = {stage: deepest - number for number, group in enumerate(groups) for stage in group}
    depths: dict[str, int] = {}
    depth = 0 if declared else deepest
    for name, _ in model.named_parameters():
        own = next((k for stage, k in depth_of.items() if name.startswith(f"{stage}.")), None)
        depth = own if own is not None else 0 if declared else depth
        depths[name] = depth
    return depths


def _side_by_side(stages: Sequence[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for stage in stages:
        groups.setdefault(stage.rpartition(".")[2], []).append(stage)
    return list(groups.values())


def _children(model: nn.Module, prefix: str = "") -> list[str]:
    """The children with weights, in order.

    An only child is looked into, and so is a sequence that holds most of the parameters, such as the blocks of a
    transformer. A network and a linear layer after it are those of the network, then the layer. A norm is no stage: it is
    as deep as the child before it.
    """
    children = [(name, child) for name, child in model.named_children() if _size(child)]
    if len(children) == 2 and isinstance(children[1][1], nn.Linear) and any(True for _ in children[0][1].children()):
        (name, child), (last, _) = children
        if not isinstance(child, nn.Sequential | nn.ModuleList):
            return [*_children(child, f"{prefix}{name}."), f"{prefix}{last}"]
    if len(children) == 1 and any(True for _ in children[0][1].children()):
        return _children(children[0][1], f"{prefix}{children[0][0]}.")
    whole = sum(_size(child) for _, child in children)
    names: list[str] = []
    for name, child in children:
        if isinstance(child, nn.Sequential | nn.ModuleList) and _size(child) > whole / 2:
            names.extend(f"{prefix}{name}.{part}" for part, one in child.named_children() if _size(one))
        elif any(parameter.ndim > 1 for parameter in child.parameters()):
            names.append(f"{prefix}{name}")
    return names


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
