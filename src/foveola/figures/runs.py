"""Figures of a run (learning curves, confusion matrix, predictions, probabilities) and of a comparison of runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from foveola.comparison.result import Comparison
from foveola.errors import UsageError
from foveola.evaluation.metrics import Evaluation
from foveola.figures.palette import ARM_COLOURS, BLUE, VERMILION, arm_number
from foveola.figures.style import (
    COLUMN_INCHES,
    FAINT,
    INK,
    Plot,
    grid_shape,
    hide_axes,
    plot,
    show,
    styled,
)
from foveola.figures.text import note_on, spelled
from foveola.runs.previews import rows_of_grid
from foveola.runs.run import Run


def curves(run: Run) -> Plot:
    """Learning curves: loss and accuracy on train and val by epoch; a line marks the epoch whose weights were kept.

    Raises UsageError for a run without epochs (only its last layer was trained).
    """
    history = run.history
    if not history:
        raise UsageError(
            f"the run {run.path} has no learning curves, because only its last layer was trained, without epochs"
        )
    epochs = [row.epoch for row in history]
    best = int(run.result["best_epoch"])
    with styled():
        figure = plot(2.6)
        loss, accuracy = figure.subplots(1, 2)
        for part, colour, dashes in (("train", FAINT, "--"), ("val", BLUE, "-")):
            marker = "o" if len(epochs) == 1 else ""
            loss.plot(
                epochs, [getattr(r, f"{part}_loss") for r in history], dashes, marker=marker, color=colour, label=part
            )
            accuracy.plot(
                epochs,
                [getattr(r, f"{part}_accuracy") for r in history],
                dashes,
                marker=marker,
                color=colour,
                label=part,
            )
        loss.set(xlabel="epoch", ylabel="loss, nats", ylim=(0, None))
        accuracy.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1))
        accuracy.yaxis.set_major_formatter(PercentFormatter(1, 0))
        for axes in (loss, accuracy):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
            if best:
                axes.axvline(best, color=FAINT, linewidth=0.8, linestyle=":")
        if best:
            accuracy.text(
                best, 0.02, f" kept: epoch {best} ", fontsize=8, color=FAINT, ha="right" if best > 1 else "left"
            )
        loss.legend(frameon=False)
    return figure


def confusion(found: Evaluation) -> Plot:
    """Confusion matrix: rows are the true classes, columns the predicted ones; colours show the share of the row."""
    counts, share = found.confusion, found.confusion_shares
    n, names = len(counts), spelled(found.class_names)
    side = min(COLUMN_INCHES, 2.8 + 0.35 * n)
    with styled(names):
        figure = plot(side, side + 0.7, note=note_on(found.class_names))
        axes = figure.add_subplot()
        drawn = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
        if n <= 20:
            for (row, column), number in np.ndenumerate(counts):
                colour = "white" if share[row, column] > 0.55 else INK
                axes.text(
                    column, row, f"{number:,}", ha="center", va="center", fontsize=8 if n <= 10 else 6, color=colour
                )
            axes.set_xticks(range(n), names, rotation=45, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(n), names)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.7, label="share of the true class")
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
    return figure


def predictions(run: Run, columns: int = 5) -> Plot:
    """25 test images, evenly chosen, each with its prediction, and with the true class if the prediction is wrong."""
    found, images = run.evaluation, run.images
    rows = rows_of_grid(len(found))
    lines, columns = grid_shape(len(rows), columns)
    names = spelled(found.class_names)
    with styled(names):
        figure = plot(lines * (COLUMN_INCHES / columns + 0.3), note=note_on(found.class_names))
        places = figure.subplots(lines, columns, squeeze=False).ravel()
        for place, row in zip(places, rows.tolist(), strict=False):
            show(place, images.of(row))
            right = bool(found.correct[row])
            predicted, truth = names[found.predicted[row]], names[found.labels[row]]
            place.set_xlabel(
                predicted if right else f"{predicted}\ntrue: {truth}", color=BLUE if right else VERMILION, labelpad=2
            )
            place.xaxis.label.set_fontsize(8)
        hide_axes(places[len(rows) :])
    return figure


def probabilities(run: Run, n: int = 8, most: int = 10) -> Plot:
    """Test images, evenly chosen, each with a bar chart of the `most` most probable classes and the true class."""
    found, images = run.evaluation, run.images
    kept = rows_of_grid(len(found))  # the run keeps the pixels of these images
    rows = kept[rows_of_grid(len(kept), n)]
    names = spelled(found.class_names)
    with styled(names):
        figure = plot(len(rows) * 1.25, note=note_on(found.class_names))
        places = figure.subplots(len(rows), 2, squeeze=False, width_ratios=(1, 3))
        for (left, right), row in zip(places, rows.tolist(), strict=True):
            show(left, images.of(row))
            _bars(right, found, names, row, most)
        if len(found.class_names) <= most:  # all rows show the same classes, so the last row's names are enough
            for right in places[:-1, 1]:
                right.set_xticklabels([])
    return figure


def _bars(axes: Axes, found: Evaluation, class_names: Sequence[str], row: int, most: int) -> None:
    chances = found.probabilities[row]
    shown = sorted(found.likely_classes(row, most))
    predicted, truth = int(found.predicted[row]), int(found.labels[row])
    colours = [BLUE if k == truth else VERMILION if k == predicted else FAINT for k in shown]
    axes.bar(range(len(shown)), chances[shown], color=colours, width=0.7)
    axes.set(ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    names = [class_names[k] for k in shown]
    axes.set_xticks(range(len(shown)), names, fontsize=7)
    if max(map(len, names)) * len(names) > 60:  # they would run into each other
        axes.tick_params(axis="x", labelrotation=30)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    word = "right" if predicted == truth else f"wrong, true class: {class_names[truth]}"
    axes.set_title(f"{class_names[predicted]}, {chances[predicted]:.0%}, {word}", fontsize=8, loc="left")


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
        colours = [ARM_COLOURS[arm_number(k)] for k in places]
        for k, (row, colour) in enumerate(zip(accuracy, colours, strict=True)):
            left.scatter([k] * len(row), row, s=16, color=colour, zorder=2)
            left.scatter([k], [row.mean()], s=90, marker="_", color=colour, linewidths=2.2, zorder=3)
        left.set_xticks(places, names)
        left.margins(x=0.25)
        left.set(ylabel="test accuracy, %")
        left.set_title(f"{accuracy.shape[1]} seeds, one line each")
        right.axvline(0, color=FAINT, linewidth=0.8)
        right.axvspan(-found.margin, found.margin, color=FAINT, alpha=0.12, linewidth=0)
        for k, (one, gaps, colour) in enumerate(zip(against, found.gaps[1:], colours[1:], strict=True)):
            low, high, _ = one.difference.interval
            right.scatter([one.difference.mean], [k], s=28, color=colour, zorder=3)
            if np.isfinite(low):
                right.plot([low, high], [k, k], color=colour, linewidth=2)
            right.scatter(gaps, np.full(len(gaps), k + 0.22), s=9, color=colour, alpha=0.6, linewidths=0)
        right.set_yticks(range(len(against)), [names[called.index(one.arm)] for one in against])
        right.set_ylim(len(against) - 0.5, -0.5)
        right.set(xlabel=f"points against {names[0]}\ngrey: margin of ±{found.margin:g} points")
        right.set_title(f"mean difference, {100 * found.level:.0f} % interval")
    return figure
