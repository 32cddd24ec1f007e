"""HTML tables for notebooks."""

from __future__ import annotations

import html
from collections.abc import Sequence

from foveola.text import count, printable

MOST_ROWS = 20
"""The number of rows of a table that are shown."""


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, above: str = "") -> str:
    """A table of the first rows with a line above it; the text of the cells is escaped.

    >>> table(["name"], [["<b>"]], above="1 class")
    '<p>1 class</p><table><tr><th>name</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """
    lines = [f"<p>{shown(above)}</p>"] if above else []
    cells = [f"<tr>{''.join(f'<td>{shown(cell)}</td>' for cell in row)}</tr>" for row in rows[:MOST_ROWS]]
    lines.append(f"<table><tr>{''.join(f'<th>{shown(name)}</th>' for name in header)}</tr>{''.join(cells)}</table>")
    if len(rows) > MOST_ROWS:
        lines.append(f"<p>and {count(len(rows) - MOST_ROWS, 'more row')}</p>")
    return "".join(lines)


def shown(value: object) -> str:
    """A value as HTML text; undecodable bytes and control characters are written as escapes."""
    return html.escape(printable(str(value)))
