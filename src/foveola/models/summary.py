"""Model summary: a table of a network's layers, shapes and parameters, which a run keeps and a report shows."""

from __future__ import annotations

from typing import NamedTuple

from foveola.text import html_table


class LayerRow(NamedTuple):
    """One layer of a summary: its name and kind, its output's shape without the batch, its parameters."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


class Summary(NamedTuple):
    """A network's table. Parameters are counted as Keras counts: batch norm's running means and variances are among them."""

    rows: tuple[LayerRow, ...]
    parameters: int
    trainable: int

    def __repr__(self) -> str:
        return (
            f"Summary({len(self.rows):,} layers, {self.parameters:,} parameters, {self.trainable:,} of them trainable)"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for each layer."""
        rows = [(row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}") for row in self.rows]
        return html_table(("layer", "kind", "output shape", "parameters"), rows, above=repr(self))
