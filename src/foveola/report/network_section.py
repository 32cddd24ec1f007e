"""The report's table of layers: open where it is short, else folded by stage."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from foveola.models.summary import LayerRow, Summary

OPEN_ROWS = 20
"""A network of more layers than this is folded: 84 open rows are three screens that few readers need."""


class Block(NamedTuple):
    """Layers whose names begin alike: that beginning, the layers, the shape the last one gives, parameters of them all."""

    name: str
    rows: tuple[LayerRow, ...]
    shape: tuple[int, ...]
    parameters: int


def blocks(network: Summary) -> tuple[Block, ...]:
    """The layers of a long network in blocks, in their order; () for a short one, which is shown as it is."""
    if len(network.rows) <= OPEN_ROWS:
        return ()
    return tuple(_block(name, tuple(rows)) for name, rows in groupby(network.rows, lambda row: row.name.split(".")[0]))


def _block(name: str, rows: tuple[LayerRow, ...]) -> Block:
    return Block(name, rows, rows[-1].shape, sum(row.parameters for row in rows))
