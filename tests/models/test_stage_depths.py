"""How far a parameter is from the output: declared stages, stages side by side, and networks that declare none."""

from collections import OrderedDict

import torch
from torch import nn

from foveola.models.build import build
from foveola.models.stage_depths import stage_depths
from foveola.types import Size


def by_first_part(depths, parts=1):
    return {".".join(name.split(".")[:parts]): depth for name, depth in depths.items()}


def stacked(**layers):
    return nn.Sequential(OrderedDict(layers))


def test_a_declared_stage_is_as_deep_as_its_place_before_the_head():
    found = by_first_part(stage_depths(build("transfer", Size(32, 32), 2)))
    assert found == {"head": 0, "top": 1, **{f"stage{k}": 9 - k for k in range(1, 8)}, "stem": 9}


def test_stages_of_networks_side_by_side_are_as_deep_as_each_other():
    class Pair(nn.Module):
        stages = ("one.stem", "one.top", "two.stem", "two.top")

        def __init__(self):
            super().__init__()
            self.one = stacked(stem=nn.Linear(2, 2), top=nn.Linear(2, 2))
            self.two = stacked(stem=nn.Linear(2, 2), top=nn.Linear(2, 2))
            self.head = nn.Linear(4, 2)

    found = by_first_part(stage_depths(Pair()), 2)
    assert {name: found[name] for name in Pair.stages} == {"one.stem": 2, "one.top": 1, "two.stem": 2, "two.top": 1}
    assert found["head.weight"] == 0


def test_a_network_without_stages_counts_its_children_and_a_norm_belongs_to_the_one_before():
    layers = stacked(first=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), second=nn.Conv2d(4, 4, 3), last=nn.Linear(4, 2))
    assert by_first_part(stage_depths(layers)) == {"first": 2, "norm": 2, "second": 1, "last": 0}
    wrapped = by_first_part(stage_depths(stacked(network=layers)), 2)
    assert wrapped == {"network.first": 2, "network.norm": 2, "network.second": 1, "network.last": 0}


def test_the_blocks_of_a_transformer_are_stages_and_its_embedding_is_early():
    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1, 8))
            self.patch = nn.Conv2d(3, 8, 2)
            self.blocks = nn.Sequential(*[nn.Linear(8, 8) for _ in range(5)])
            self.head = nn.Linear(8, 2)

    found = by_first_part(stage_depths(Transformer()), 2)
    assert (found["token"], found["patch.weight"], found["head.weight"]) == (6, 6, 0)
    assert [found[f"blocks.{k}"] for k in range(5)] == [5, 4, 3, 2, 1]
