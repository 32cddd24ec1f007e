"""Summary lines of a result: accuracy with interval and baseline, balanced accuracy, images trained on, thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foveola.evaluation.intervals import wilson
from foveola.evaluation.metrics import against_baseline, is_imbalanced
from foveola.text import count, percent, printable
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
    """The main numbers in lines: accuracy, accuracy without training images, balanced accuracy for unequal classes, and
    the rates of a threshold, and which networks of a cross-validation they are of."""
    decision = decided(r["decision"]) if r.get("decision") else ()
    return tuple(filter(None, (headline(r), trained_on(r), balanced(r), *decision, cross_validated(r))))


def decided(d: Mapping[str, Any]) -> tuple[str, str]:
    """The rule of a threshold, and its rates on some images, in two lines. d: an object `decision` of the JSON output."""
    name = printable(d["positive"])
    rates = ", ".join(
        _rate(d, key, what)
        for key, what in (
            ("sensitivity", "sensitivity"),
            ("specificity", "specificity"),
            ("precision", "precision"),
            ("negative_predictive_value", "negative predictive value"),
            ("accuracy", "accuracy"),
        )
    )
    fitted = ", each fold decided by a threshold that the other folds gave" if d["fold_thresholds"] else ""
    return f"{rule(d)} ({goal(d)})", f"rates for '{name}' with 95 % intervals{fitted}: {rates}"


def rule(d: Mapping[str, Any]) -> str:
    """When an image gets the positive class, in one sentence.

    >>> rule({"positive": "sick", "threshold": 0.0834})
    "foveola predicts 'sick' if its probability is at least 8.34 %, else the most probable other class"
    """
    return (
        f"foveola predicts '{printable(d['positive'])}' if its probability is at least {threshold(d['threshold'])}, else the "
        "most probable other class"
    )


def threshold(value: float) -> str:
    """A threshold 0..1 as a percentage with three digits; near 100 % with more, so that it is not rounded up to it.

    >>> threshold(0.08341), threshold(0.0000021), threshold(0.999991)
    ('8.34 %', '0.00021 %', '99.9991 %')
    """
    digits = 3 if value < 0.99 else 6
    return f"{100 * value:.{digits}g} %"


def goal(d: Mapping[str, Any]) -> str:
    """What a threshold was chosen for, as text.

    >>> goal({"goal": "sensitivity", "min_sensitivity": 0.95, "confidence": 0.95, "held_out_part": "val"})
    'chosen for a sensitivity of at least 95 % on new images, at 95 % confidence'
    """
    if d["goal"] == "cost":
        costs = f"a false positive costs {d['cost_false_positive']:g} and a false negative {d['cost_false_negative']:g}"
        return f"the lowest cost on the held-out images, if {costs}"
    rate = 100 * d[f"min_{d['goal']}"]
    about = "about " if d["held_out_part"] != "val" else ""  # slightly different networks made the predictions
    return f"chosen for a {d['goal']} of at least {rate:g} % on new images, at {about}{100 * d['confidence']:g} % confidence"


def _rate(d: Mapping[str, Any], key: str, what: str) -> str:
    if d[key] is None:
        return f"{what} unknown (no such images)"
    return f"{what} {percent(d[key])} ({100 * d[f'{key}_low']:.1f} to {100 * d[f'{key}_high']:.1f})"


def cross_validated(r: Mapping[str, Any]) -> str:
    """Which networks the numbers of a cross-validation are of, in one line; "" for a result of one network."""
    tests = r.get("folds")
    if not tests:
        return ""
    folds, repeats = tests[0]["folds"], tests[0]["repeats"]
    tested = (
        f"{repeats} times, each time by one of {folds} networks that were"
        if repeats > 1
        else f"by one of {folds} networks that were"
    )
    return (
        f"each image was tested {tested} not trained on it; the network in this folder was trained on all "
        f"{r['n_test']:,} images, and was not tested itself"
    )


def balanced(r: Mapping[str, Any]) -> str:
    """Balanced accuracy and macro F1 of a result in one line; "" if the classes are about equal or there is only one."""
    counts = [row["support"] for row in r["per_class"]]
    if sum(n > 0 for n in counts) < 2 or not is_imbalanced(counts):
        return ""
    accuracy = f"{100 * r['balanced_accuracy_low']:.1f} to {percent(r['balanced_accuracy_high'])}"
    f1 = f"{r['macro_f1_low']:.3f} to {r['macro_f1_high']:.3f}"
    return (
        f"balanced accuracy {percent(r['balanced_accuracy'])} (95 % interval {accuracy}; the mean recall of the classes), "
        f"macro F1 {r['macro_f1']:.3f} ({f1}): these give each class the same weight, even if it has few images"
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
