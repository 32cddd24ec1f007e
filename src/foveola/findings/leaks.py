"""Findings about copies across the parts that a data set comes with: what judges has then been learned from."""

from __future__ import annotations

import numpy as np

from foveola.data.dataset import Dataset
from foveola.data.units import leaking
from foveola.errors import count
from foveola.findings.finding import Finding, percent
from foveola.findings.relations import Relations, flat, members, named_in

LEAK_ERROR = 0.01
"""Share of the test part from which a leak is an error: an accuracy is then wrong by a figure that is reported."""

JUDGES = {1: "val image", 2: "test image"}
"""The parts that judge, by their numbers in `Dataset.parts`."""


def leak(dataset: Dataset, relations: Relations) -> Finding | None:
    """Pictures of the data's own test part with a relative in its train or val part; twins count as much as copies."""
    return _between(
        dataset,
        relations,
        2,
        (0, 1),
        "train or val",
        "the accuracy will be too high",
        "leave out the copies in train and val, so that the test part stays as it is; or also state the accuracy without "
        "these test images, as the report of a run does",
    )


def leak_to_val(dataset: Dataset, relations: Relations) -> Finding | None:
    """The same of the data's own val part: it chooses the epoch, and what confidence and abstention state comes from it."""
    return _between(
        dataset,
        relations,
        1,
        (0,),
        "train",
        "the epoch is chosen by images that the network has learned, and its confidence will be too high",
        "leave out the copies in train, so that the val part stays as it is",
    )


def _between(
    dataset: Dataset, relations: Relations, judge: int, before: tuple[int, ...], where: str, so: str, advice: str
) -> Finding | None:
    """Pictures of the part `judge` with a relative in the parts `before`, which the data itself gives."""
    if dataset.parts is None:
        return None
    judged, seen = np.flatnonzero(dataset.parts == judge), np.flatnonzero(np.isin(dataset.parts, before))
    units = relations.units
    leaked = leaking(units, seen, judged)
    if not len(leaked):
        return None
    groups = [rows for rows in members(units) if np.isin(rows, leaked).any()]
    exact = len(leaking(relations.content, seen, judged))
    share = len(leaked) / len(judged)
    named = named_in(dataset, [rows[np.argsort(-dataset.parts[rows], kind="stable")] for rows in groups])
    to_leave = np.concatenate([rows[np.isin(dataset.parts[rows], before)] for rows in groups])
    return Finding(
        "split_leak",
        "error" if judge == 2 and share >= LEAK_ERROR else "warning",
        f"{len(leaked):,} of {count(len(judged), JUDGES[judge])} ({percent(share)}) have a copy or a derived file in "
        f"{where}, {exact:,} of them with identical pixels: {so}",
        advice,
        flat(named),
        named,
        leave_out=tuple(dataset.ids[i] for i in to_leave.tolist()),
        topic="" if judge == 2 else "val",
    )
