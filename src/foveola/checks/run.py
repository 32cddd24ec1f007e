"""Run all checks of a data set: the quick ones of every training, and the slow ones that `foveola check` adds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from foveola.checks.class_balance import balance_findings
from foveola.checks.derived_files import derived_file_findings, derived_groups
from foveola.checks.duplicates import DuplicateGroups, duplicate_findings
from foveola.checks.file_problems import file_findings
from foveola.checks.finding import Finding
from foveola.checks.image_quality import ImageStats, quality_findings
from foveola.checks.near_duplicates import near_duplicate_pairs
from foveola.checks.shortcuts import shortcut_findings
from foveola.data.prepare import Prepared
from foveola.types import Tick, no_tick


def find_duplicates(
    prepared: Prepared, get_stats: Callable[[], ImageStats] | None = None, *, tick: Tick = no_tick
) -> DuplicateGroups:
    """Exact duplicates, near-duplicates (from the cache if possible) and derived files of the prepared images."""
    near = near_duplicate_pairs(prepared, get_stats, tick=tick)
    pairs = np.zeros((0, 3), np.int64) if near is None else near
    derived = derived_groups(prepared.dataset)
    return DuplicateGroups(prepared.content, pairs, derived, prepared.sizes, near_searched=near is not None)


def quick_findings(prepared: Prepared, duplicates: DuplicateGroups) -> list[Finding]:
    """The findings that take no further time once the duplicates are known."""
    dataset = prepared.dataset
    return [
        *duplicate_findings(dataset, duplicates),
        *derived_file_findings(dataset, duplicates.derived),
        *balance_findings(dataset),
        *file_findings(prepared),
    ]


def slow_findings(prepared: Prepared, stats: ImageStats, duplicates: DuplicateGroups) -> list[Finding]:
    """The findings that need the pixels of every image, or scikit-learn."""
    dataset, sizes = prepared.dataset, prepared.sizes
    return [
        *shortcut_findings(dataset, prepared.files, sizes, stats.colours, duplicates.copies),
        *quality_findings(dataset, stats, sizes),
    ]
