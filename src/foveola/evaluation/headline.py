"""Summary lines of a result: accuracy with interval and majority baseline, balanced accuracy, images trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foveola.evaluation.metrics import against_baseline, is_imbalanced, wilson
from foveola.text import count, percent
from foveola.types import Interval


def headline(r: Mapping[str, Any]) -> str:
    """The accuracy of a result in one line, with its interval and the majority baseline of the same images.

    r: numbers under the names of result.json. The baseline is computed from them.
    """
    low, high, n = r["test_accuracy_low"], r["test_accuracy_high"], r["n_test"]
    accuracy = (
        f"test accuracy {percent(r['test_accuracy'])} (95 % interval {100 * low:.1f} to {percent(high)}, n = {n:,})"
    )
    most = max(r["per_class"], key=lambda row: row["support"])
    name, baseline = most["name"], most["support"] / n
    match against_baseline(Interval(low, high, 0.95), baseline):
        case "better":
            return f"{accuracy}; always predicting '{name}' would give {percent(baseline)}"
        case "no_better":
            return f"{accuracy}: no better than always predicting '{name}', which gives {percent(baseline)}"
        case "worse":
            return f"{accuracy}: worse than always predicting '{name}', which gives {percent(baseline)}"
        case None:
            return f"{accuracy}; all images are of class '{name}'"


def headlines(r: Mapping[str, Any]) -> tuple[str, ...]:
    """The main numbers in lines: accuracy, accuracy without training images, and balanced accuracy for unequal classes."""
    return tuple(filter(None, (headline(r), trained_on(r), balanced(r))))


def balanced(r: Mapping[str, Any]) -> str:
    """Balanced accuracy and macro F1 of a result in one line; "" if the classes are about equal or there is only one."""
    counts = [row["support"] for row in r["per_class"]]
    if sum(n > 0 for n in counts) < 2 or not is_imbalanced(counts):
        return ""
    return (
        f"balanced accuracy {percent(r['balanced_accuracy'])} (the mean recall of the classes), macro F1 "
        f"{r['macro_f1']:.3f}: these give each class the same weight, even if it has few images"
    )


def trained_on(r: Mapping[str, Any]) -> str:
    """How many of the images were trained on, and the accuracy without them, in one line; "" if none is known to be."""
    n, rest = r["n_trained_on"], r["without_trained_on"]
    if not n:
        return ""
    if rest is None:
        return f"{seen(n, r['n_test'])}: this accuracy says nothing about new images"
    return f"{seen(n, r['n_test'])}; without {'it' if n == 1 else 'them'}: {headline(rest)}"


def seen(n: int, images: int) -> str:
    """How many of the images were trained on.

    >>> seen(96, 120)
    'the network was trained on 96 of these 120 images, or on near-duplicates of them'
    """
    which = (
        ("this image" if n == 1 else f"all {n:,} images") if n == images else f"{n:,} of these {count(images, 'image')}"
    )
    return (
        f"the network was trained on {which}, or on {'a near-duplicate of it' if n == 1 else 'near-duplicates of them'}"
    )


def with_interval(share: float, n: int) -> str:
    """A share 0..1 of n images with its 95 % Wilson interval; without one if n is 0.

    >>> with_interval(0.825, 160)
    '82.5 % (75.9 to 87.6)'
    """
    if not n:
        return percent(share)
    low, high, _ = wilson(round(share * n), n)
    return f"{percent(share)} ({100 * low:.1f} to {100 * high:.1f})"
