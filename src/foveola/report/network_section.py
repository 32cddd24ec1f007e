"""Report section on the network: its table of layers, folded by stage if it is long."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from foveola.models.summary import LayerRow, Summary

OPEN_ROWS = 20
"""The table of a network with more layers is folded by stage."""


class Block(NamedTuple):
    """Layers with a common name prefix: the prefix, the layers, the output shape of the last one, all their parameters."""

    name: str
    rows: tuple[LayerRow, ...]
    shape: tuple[int, ...]
    parameters: int


def blocks(network: Summary) -> tuple[Block, ...]:
    """Group the layers of a long network into blocks, in their order; () for a short network, which is not folded."""
    if len(network.rows) <= OPEN_ROWS:
        return ()
    return tuple(_block(name, tuple(rows)) for name, rows in groupby(network.rows, lambda row: row.name.split(".")[0]))


def _block(name: str, rows: tuple[LayerRow, ...]) -> Block:
    return Block(name, rows, rows[-1].shape, sum(row.parameters for row in rows))
