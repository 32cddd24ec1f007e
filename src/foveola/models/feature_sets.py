"""Blocks of a network's features (one a layer), and the sets of them that a linear head may use.

The means of earlier stages hold textures that the last stage threw away, which helps on images that differ from ImageNet's
(U. Evci et al., "Head2Toe: Utilizing Intermediate Representations for Better Transfer Learning", 2022, arXiv:2201.03529).
On photos like ImageNet's they only add noise, so training tries several sets and keeps the best on val.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Block(NamedTuple):
    """Columns of the features that come from one layer: its name, and the number of its channels."""

    name: str
    columns: int


class FeatureSet(NamedTuple):
    """The first blocks of a network's features, all of which weigh the same in a linear head.

    name: of the set, which a log names it by; blocks: the number of columns of each block.
    """

    name: str
    blocks: tuple[int, ...]

    @property
    def columns(self) -> int:
        """The number of columns in the set."""
        return sum(self.blocks)

    @property
    def scale(self) -> NDArray[np.float64]:
        """Factors float64 (columns,) for standardised columns: every block gets the same sum of variances.

        The whole set has the variance of the first block alone, so a penalty of one strength has about the same effect in
        every set.

        >>> FeatureSet("top + stage7", (8, 2)).scale.round(3).tolist()
        [0.707, 0.707, 0.707, 0.707, 0.707, 0.707, 0.707, 0.707, 1.414, 1.414]
        """
        widths = np.array(self.blocks)
        return np.repeat(np.sqrt(widths[0] / (len(widths) * widths)), widths)


_WORDS = {
    "top": "the last stage",
    "top + stage7 + stage5": "the last stage and two earlier ones",
    "top + stage7 + stage5 + stage3": "the last stage and three earlier ones",
}


def in_words(name: str) -> str:
    """What a set's features come from, in words; any other name is returned unchanged.

    >>> in_words("top + stage7 + stage5")
    'the last stage and two earlier ones'
    """
    return _WORDS.get(name, name)


def feature_sets_of(networks: Sequence[Sequence[Block]], numbers: Sequence[int]) -> tuple[FeatureSet, ...]:
    """The sets of the first layers, one for each number, of one network or of several side by side.

    networks: the blocks of each, of the same layers; the features of a layer are next to each other (see `places_of`).

    >>> one, other = [Block("top", 8), Block("stage7", 4)], [Block("top", 8), Block("stage7", 5)]
    >>> feature_sets_of([one, other], (1, 2))[1]
    FeatureSet(name='top + stage7', blocks=(8, 8, 4, 5))
    """
    layers = list(zip(*networks, strict=True))
    return tuple(
        FeatureSet(
            " + ".join(same[0].name for same in layers[:n]),
            tuple(block.columns for same in layers[:n] for block in same),
        )
        for n in numbers
    )


def places_of(networks: Sequence[Sequence[Block]]) -> tuple[NDArray[np.int64], ...]:
    """The columns that the features of each network take when they are side by side, layer by layer: int64 each.

    >>> places_of([[Block("top", 2), Block("stage7", 1)], [Block("top", 2), Block("stage7", 2)]])
    (array([0, 1, 4]), array([2, 3, 5, 6]))
    """
    owners = np.concatenate(
        [np.full(block.columns, k) for same in zip(*networks, strict=True) for k, block in enumerate(same)]
    )
    return tuple(np.flatnonzero(owners == k) for k in range(len(networks)))
