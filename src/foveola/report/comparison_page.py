"""The comparison page: one HTML file with the verdict on each arm, its uncertainty and the numbers behind it."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from foveola.comparison.result import Comparison, PairedResult
from foveola.report.comparison_arms import Look, arm_section
from foveola.report.comparison_curves import Band, banded
from foveola.report.comparison_figures import DOTS_PX, AgainstZero, against_zero, colour, paired_dots, signed
from foveola.report.comparison_words import cost_of, line_of, mean_of, steady
from foveola.report.pages import environment
from foveola.report.words import date, duration

SECTIONS = (
    ("answer", "Result"),
    ("differs", "What differs"),
    ("seeds", "Results by seed"),
    ("learning", "Training"),
    ("classes", "Results by class"),
    ("flips", "Changed predictions"),
    ("cost", "Time and memory"),
    ("methods", "Methods"),
)


def render(found: Comparison, look: Look, *, command: str = "") -> str:
    """Render the page as HTML text; the same runs give the same text. look: gives an image as an arm sees it."""
    run = found.runs[0][0]
    against = found.against_baseline()
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            found=found,
            run=run,
            card=run.card,
            sections=SECTIONS,
            title=f"{_listed([arm.name for arm in found.arms[1:]])} against {found.arms[0].name}",
            baseline=found.arms[0].name,
            against=against,
            lines=[line_of(found, one, k + 1) for k, one in enumerate(against)],
            figure=_figure(found, against),
            dots=paired_dots([arm.name for arm in found.arms], found.accuracy.tolist()),
            table=_table(found),
            means=[mean_of(found, k) for k in range(len(found.arms))],
            reach=_widest(found),
            curves=_curves(found),
            arms=[arm_section(found, k, look) for k in range(1, len(found.arms))],
            costs=[cost_of(found, k) for k in range(len(found.arms))],
            colours=[colour(k) for k in range(len(found.arms))],
            total=duration(sum(one.result["seconds"] for row in found.runs for one in row)),
            command=command,
            steady=steady(found),
            made=date(max(one.environment.get("started", "") for row in found.runs for one in row)),
            dots_px=DOTS_PX,
            question=found.question,
        )
    )


def _figure(found: Comparison, against: list[PairedResult]) -> Markup:
    rows = [
        AgainstZero(
            one.arm,
            colour(k),
            [float(gap) for gap in 100 * (found.accuracy[k] - found.accuracy[0])],
            one.difference.mean,
            one.difference.interval.low,
            one.difference.interval.high,
            (one.with_images.low, one.with_images.high) if one.with_images else None,
        )
        for k, one in enumerate(against, start=1)
    ]
    return against_zero(rows, found.margin, found.arms[0].name)


def _table(found: Comparison) -> list[tuple[int, list[str], list[str]]]:
    """One row for each seed: the accuracies of all arms, and their differences to the first."""
    gaps = 100 * (found.accuracy - found.accuracy[0])  # shown for up to three arms: more columns do not fit
    return [
        (seed, [f"{100 * a:.2f} %" for a in found.accuracy[:, s]], [signed(g) for g in gaps[1:, s]])
        for s, seed in enumerate(found.seeds)
    ]


def _widest(found: Comparison) -> str:
    """Half the width of the widest 95 % interval of any run's accuracy, in percentage points."""
    intervals = (run.evaluation.interval for row in found.runs for run in row)
    return f"{100 * max((one.high - one.low) / 2 for one in intervals):.1f}"


def _curves(found: Comparison) -> tuple[Markup, Markup] | None:
    """Validation accuracy and loss by epoch; None if an arm has no epochs."""
    histories = [[run.history for run in row] for row in found.runs]
    if not all(history for row in histories for history in row):
        return None

    def bands(what: str) -> list[Band]:
        out = []
        for k, (arm, row) in enumerate(zip(found.arms, histories, strict=True)):
            shortest = min(len(history) for history in row)  # early stopping may have ended some runs sooner
            values = np.array([[getattr(one, what) for one in history[:shortest]] for history in row])
            out.append(
                Band(
                    colour(k),
                    arm.name,
                    values.mean(axis=0).tolist(),
                    values.min(axis=0).tolist(),
                    values.max(axis=0).tolist(),
                )
            )
        return out

    accuracy = banded("Accuracy on val", bands("val_accuracy"), as_percent=True)
    return accuracy, banded("Loss on val", bands("val_loss"))


def _listed(names: list[str]) -> str:
    """Join names with commas and "and".

    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
