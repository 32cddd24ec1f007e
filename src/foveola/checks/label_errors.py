"""Find label errors by confident learning, from out-of-sample class probabilities.

C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021. The
authors' library is cleanlab; foveola needs only the confident joint, and cleanlab would bring pandas with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foveola.checks.finding import Finding
from foveola.data.dataset import Dataset
from foveola.text import count, percent, printable
from foveola.types import Indices, Labels

Chances = NDArray[np.float32]

SURE = 0.97
"""Probability of the other class from which an image is listed. Of the 17 images of flowers and signs with 0.95 or more
about half are under a wrong label (looked at by us, who are no botanists); of the 7 with 0.97 or more, four or five."""

FEWEST, FOLDS = 10, 5
"""Images that each class needs, and different ones among them: one for each fold, so that the others always have some."""

KNOWS = 0.3
"""How far a classifier has to be from guessing, 0..1, for the label errors that it finds to mean anything."""

MOST_SHARE = 0.1
"""If a larger share of all labels looks wrong, the classifier is at fault and not the labels."""


def has_too_few_images(dataset: Dataset, group_ids: Indices) -> str:
    """Why the data has too few images to search for label errors; empty if it has enough.

    groups: int64 (n,), equal for images that must stay in one fold, such as copies of one photo: they count as one image.
    """
    if len(np.unique(dataset.labels)) < 2:
        return "all images have the same label"
    of_class = np.unique(np.stack([dataset.labels, group_ids]), axis=1)[0]
    different = np.bincount(of_class, minlength=len(dataset.class_names))
    k = int(different.argmin())
    if different[k] < FOLDS:
        found = f"only {count(int(different[k]), 'different image')}"
        return f"class '{printable(dataset.class_names[k])}' has {found}, and each class needs {FOLDS}"
    counts = dataset.counts()
    k = int(counts.argmin())
    if counts[k] < FEWEST:
        found = f"only {count(int(counts[k]), 'image')}"
        return f"class '{printable(dataset.class_names[k])}' has {found}, and each class needs {FEWEST}"
    return ""


def confident_joint(labels: Labels, chances: Chances) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The confident joint, int64 (K, K), given label by likely label; and each image's likely label, -1 where none.

    labels: int64 (n,); chances: float (n, K), out-of-sample probabilities. Class j is likely for an image if its
    probability is at least t_j, the mean probability of j over the images that are labelled j; of several such classes
    the most probable one.

    >>> confident_joint(np.array([0, 0, 1, 1]), np.array([[.9, .1], [.8, .2], [.2, .8], [.9, .1]]))[0].tolist()
    [[1, 0], [1, 1]]
    """
    k = chances.shape[1]
    thresholds = np.array([chances[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(k)])
    passing = np.where(chances >= thresholds, chances, -1)
    likely = np.where(passing.max(axis=1) >= 0, passing.argmax(axis=1), -1)
    joint = np.zeros((k, k), np.int64)
    np.add.at(joint, (labels[likely >= 0], likely[likely >= 0]), 1)
    return joint, likely.astype(np.int64)


def suspects(labels: Labels, chances: Chances) -> tuple[Indices, Labels]:
    """Rows whose label looks wrong, the most suspicious first, and the label that is likely for each.

    They are the off-diagonal counts of the confident joint whose likely class has a probability of SURE or more; in order
    of the margin between the probability of the given and of the likely label.
    """
    _, likely = confident_joint(labels, chances)
    rows = np.flatnonzero((likely >= 0) & (likely != labels))
    rows = rows[chances[rows, likely[rows]] >= SURE]
    margin = chances[rows, labels[rows]] - chances[rows, likely[rows]]
    rows = rows[np.argsort(margin, kind="stable")]
    return rows, likely[rows]


def label_error_findings(dataset: Dataset, chances: Chances) -> list[Finding]:
    """The finding `suspect_label`; none if the classifier is too weak, or if implausibly many labels look wrong."""
    labels = dataset.labels
    right = float((chances.argmax(axis=1) == labels).mean())
    majority = float(dataset.counts().max() / len(labels))
    rows, likely = suspects(labels, chances)
    if not len(rows) or right - majority < KNOWS * (1 - majority) or len(rows) > MOST_SHARE * len(labels):
        return []
    names = [printable(name) for name in dataset.class_names]
    captions = tuple(
        f"labelled {names[labels[i]]}, looks like {names[j]}: {percent(float(chances[i, j]))}"
        for i, j in zip(rows.tolist(), likely.tolist(), strict=True)
    )
    return [
        Finding(
            "suspect_label",
            "warning",
            f"{len(rows):,} of {count(len(labels), 'label')} may be wrong: a classifier that was not trained on these images "
            f"is sure of another class; it classifies {percent(right)} of all images as labelled",
            "check by eye, the most suspicious first, and move wrongly labelled images to the right class",
            tuple(dataset.ids[i] for i in rows.tolist()),
            captions=captions,
        )
    ]
