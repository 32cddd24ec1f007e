"""Findings about single pictures: blank, dark, bright, blurred, odd in shape or size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveola.data.dataset import Dataset
from foveola.errors import count
from foveola.findings.finding import Finding, Severity
from foveola.findings.looks import Looks

BLANK = 2.0
"""Deviation of the grey, in levels 0..255, below which there is nothing to be seen."""

DARK, BRIGHT = 20.0, 240.0
"""Mean grey below and above which a picture is unusual enough to be shown."""

BLURRED = 0.15
"""Sharpness against the median of the set below which a picture is blurred, if its contrast is at least half the median."""

SMALL, LONG = 4.0, 3.0
"""Times fewer pixels a side than the median, and times longer than wide, from which size and shape are odd."""

COMMON = 0.05
"""What more than this share of a set is, is its manner and no accident: bright drawings, dark skies, blurred scans."""


def quality_findings(dataset: Dataset, looks: Looks, sizes: NDArray[np.int32]) -> list[Finding]:
    """quality: sizes is int32 (n, 2), upright height and width of the originals."""
    grey = looks.colours @ np.array([0.299, 0.587, 0.114], np.float32)
    blank = looks.contrast < BLANK
    contrasty = looks.contrast >= np.median(looks.contrast) / 2
    blurred = ~blank & contrasty & (looks.sharpness < BLURRED * np.median(looks.sharpness))
    side = np.sqrt(sizes.astype(np.float64).prod(axis=1))
    shape = sizes.max(axis=1) / np.maximum(sizes.min(axis=1), 1)
    found = [
        _finding(dataset, blank, side, "warning", "blank: one tone, nothing to be seen", "leave them out", drop=True),
        _finding(dataset, ~blank & (grey < DARK), grey, "note", "very dark", _LOOK),
        _finding(dataset, ~blank & (grey > BRIGHT), -grey, "note", "very bright", _LOOK),
        _finding(dataset, blurred, looks.sharpness, "note", "blurred, compared with the others", _LOOK),
        _finding(dataset, side < np.median(side) / SMALL, side, "note", "much smaller than the others", _SMALL),
        _finding(dataset, shape >= LONG * np.median(shape), -shape, "note", "much longer than wide, or wider", _LONG),
    ]
    return [finding for finding in found if finding is not None]


_LOOK = "look at them: what you can't make out, a network can't learn from"
_SMALL = "look at them: thumbnails among photos are often previews, icons or errors of a download"
_LONG = "look at them: banners and strips leave a network few pixels of the thing itself"


def _finding(
    dataset: Dataset,
    which: NDArray[np.bool_],
    order: NDArray[np.floating],
    severity: Severity,
    what: str,
    advice: str,
    *,
    drop: bool = False,
) -> Finding | None:
    rows = np.flatnonzero(which)
    if not len(rows) or (len(rows) > COMMON * len(dataset) and not drop):
        return None
    ids = tuple(dataset.ids[i] for i in rows[np.argsort(order[rows], kind="stable")])
    return Finding(
        "quality", severity, f"{count(len(ids), 'picture')} {what}", advice, ids,
        leave_out=ids if drop else (), topic=what,
    )  # fmt: skip
