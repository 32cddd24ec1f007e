"""Figure of a comparison: the accuracy of every run, and the mean differences with their intervals."""

from __future__ import annotations

import numpy as np

from foveola.comparison.result import Comparison
from foveola.figures.fonts import note_on, spelled
from foveola.figures.style import COLOURS, FAINT, Plot, plot, styled


def paired(found: Comparison) -> Plot:
    """Left: accuracies, one line for each seed; right: each arm's mean difference to the first arm with its interval."""
    accuracy, called = 100 * found.accuracy, [arm.name for arm in found.arms]
    against, names = found.against_baseline(), spelled(called)
    with styled(names):
        figure = plot(2.6, note=note_on(called))
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
        places = range(len(names))
        for column in accuracy.T:
            left.plot(places, column, color=FAINT, linewidth=0.7, zorder=1)
        for k, row in enumerate(accuracy):
            left.scatter([k] * len(row), row, s=16, color=COLOURS[k % len(COLOURS)], zorder=2)
            left.scatter([k], [row.mean()], s=90, marker="_", color=COLOURS[k % len(COLOURS)], linewidths=2.2, zorder=3)
        left.set_xticks(places, names)
        left.margins(x=0.25)
        left.set(ylabel="test accuracy, %")
        left.set_title(f"{accuracy.shape[1]} seeds, one line each")
        right.axvline(0, color=FAINT, linewidth=0.8)
        right.axvspan(-found.margin, found.margin, color=FAINT, alpha=0.12, linewidth=0)
        finite = [one for one in against if np.isfinite(one.difference.interval.low)]
        for k, one in enumerate(against):
            colour = COLOURS[(k + 1) % len(COLOURS)]
            right.scatter([one.difference.mean], [k], s=28, color=colour, zorder=3)
            if one in finite:
                right.plot(
                    [one.difference.interval.low, one.difference.interval.high], [k, k], color=colour, linewidth=2
                )
            gaps = accuracy[k + 1] - accuracy[0]
            right.scatter(gaps, np.full(len(gaps), k + 0.22), s=9, color=colour, alpha=0.6, linewidths=0)
        right.set_yticks(range(len(against)), [names[called.index(one.arm)] for one in against])
        right.set_ylim(len(against) - 0.5, -0.5)
        right.set(xlabel=f"points against {names[0]}\ngrey: margin of ±{found.margin:g} points")
        right.set_title(f"mean difference, {100 * found.level:.0f} % interval")
    return figure
