"""Find shortcuts: file properties, such as format or size, that predict the class regardless of the image content.

If all cats are PNG and all dogs JPEG, a network learns to detect JPEG artefacts, classifies every test image correctly, and
knows nothing about cats (R. Geirhos et al., "Shortcut learning in deep neural networks", Nature Machine Intelligence 2,
2020).

The content influences the file too: gravel takes more bytes than sky at the same quality, and an image cropped to an object
has the object's shape. These are not errors. So the JPEG quality comes from the quantisation table, which does not depend on
the content, and a difference in bytes is only a note.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from foveola.checks.finding import Finding
from foveola.data.dataset import Dataset
from foveola.data.prepare import FileFacts
from foveola.text import percent, printable
from foveola.types import Indices

Table = NDArray[np.float64]

FOLDS = 5
FEWEST = 10
"""Classes with fewer images are not tested for shortcuts."""

ERROR, WARNING, COLOUR, MORE = 0.5, 0.2, 0.5, 0.2
"""How much of the way from the majority's accuracy to 1 a tree has to go, by facts of the files and by the mean colour.

Real sets (faces, flowers, signs, cifar10) go up to 0.05 of the way by format, mode or size, 0.07 to 0.17 by bytes, which
depend on what an image shows, and 0.03 to 0.14 by mean colour. MORE: how much further than by the best fact all facts
together must go to be reported."""

CUT_OUT = 0.5
"""From this share of different sizes on, of all images, they are taken to be cut out around things, not made by cameras."""


def shortcut_findings(
    dataset: Dataset, files: FileFacts, sizes: NDArray[np.int32], colours: NDArray[np.float32], group_ids: Indices
) -> list[Finding]:
    """The findings `shortcut`: format, mode, size in pixels, JPEG quality; as notes also bytes, mean colour and file names.

    A small decision tree is cross-validated on each property alone, and on all of them together.
    sizes: int32 (n, 2), height and width; colours: (n, 3), mean red, green and blue; group_ids: int64 (n,), equal for
    copies of one image: only one of them counts, because a tree that has seen one copy knows the others.
    """
    rows = _asked(dataset, group_ids)
    labels = dataset.labels[rows]
    if len(np.unique(labels)) < 2:
        return []
    majority = float(np.bincount(labels).max() / len(labels))
    facts = _facts(files, sizes)
    reached = {name: accuracy(table[rows], labels) for name, table in facts.items()}
    together = accuracy(np.concatenate(list(facts.values()), axis=1)[rows], labels)
    cut_out = len(np.unique(sizes[rows], axis=0)) >= CUT_OUT * len(rows)
    found = _by_facts(reached, together, majority, cut_out)
    by_bytes = accuracy(files.stored_bytes[rows, None].astype(np.float64), labels)
    if not found and _way(by_bytes, majority) >= WARNING:
        found.append(_by_bytes(by_bytes, majority))
    by_colour = accuracy(np.asarray(colours, np.float64)[rows], labels)
    if _way(by_colour, majority) >= COLOUR:
        found.append(_by_colour(by_colour, majority))
    return [*found, *_by_name(dataset)]


def _asked(dataset: Dataset, group_ids: Indices) -> Indices:
    """One image of each group, of the classes that then have enough."""
    rows = np.sort(np.unique(group_ids, return_index=True)[1])
    labels = dataset.labels[rows]
    return rows[np.bincount(labels, minlength=len(dataset.class_names))[labels] >= FEWEST]


_SIZE = "the size in pixels"


def _facts(files: FileFacts, sizes: NDArray[np.int32]) -> dict[str, Table]:
    """Each fact as columns of numbers: (n, c)."""
    forms, modes = [kind.format for kind in files.kinds], [kind.mode for kind in files.kinds]
    height, width = sizes.astype(np.float64).T
    return {
        "the format": _one_hot(forms)[files.of],
        "the colour mode": _one_hot(modes)[files.of],
        _SIZE: np.stack([height, width, width / height, height * width], axis=1),
        "the JPEG quality": files.quality[:, None].astype(np.float64),
    }


def _one_hot(names: list[str]) -> Table:
    known = sorted(set(names))
    return np.eye(len(known))[[known.index(name) for name in names]]


def accuracy(table: Table, labels: Indices) -> float:
    """Cross-validated accuracy, 0..1, of a small decision tree on columns (n, c); the majority's where they do not vary.

    The tree has as many leaves as twice the classes, at least 8, each of 5 images or more: enough for one rule a class.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    if (table == table[0]).all():
        return float(np.bincount(labels).max() / len(labels))
    leaves = min(64, max(8, 2 * len(np.unique(labels))))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=5, random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return float((cross_val_predict(tree, table, labels, cv=folds) == labels).mean())


def _way(reached: float, majority: float) -> float:
    return (reached - majority) / max(1 - majority, 1e-9)


def _by_facts(reached: dict[str, float], together: float, majority: float, cut_out: bool) -> list[Finding]:
    best = max(_way(one, majority) for one in reached.values())
    if _way(together, majority) >= max(WARNING, best + MORE):
        what = f"format, colour mode, size and JPEG quality of a file together predict the class of {percent(together)}"
        return [_telling(f"{what} of the images", together, majority, tuple(reached))]
    telling = sorted((name for name in reached if _way(reached[name], majority) >= WARNING), key=lambda n: -reached[n])
    if not telling:
        return []
    first = telling[0]
    others = "".join(f", {name} for {percent(reached[name])}" for name in telling[1:])
    what = f"{first} of a file alone predicts the class of {percent(reached[first])} of the images{others}"
    if telling == [_SIZE] and cut_out:
        return [_by_shape(what, majority)]
    return [_telling(what, reached[first], majority, tuple(telling))]


def _telling(what: str, reached: float, majority: float, facts: tuple[str, ...]) -> Finding:
    return Finding(
        "shortcut",
        "error" if _way(reached, majority) >= ERROR else "warning",
        f"{what}; the most frequent class is {percent(majority)} (small decision trees, cross-validated)",
        "find out why the classes differ in this, and save all images in one format, size and quality; otherwise a network "
        "may learn this difference instead of the content",
        about=len(facts),
        topic="file properties",
        facts=facts,
    )


def _by_shape(what: str, majority: float) -> Finding:
    """The size of images that each have their own: the shape of things, where images are cut out around them."""
    return Finding(
        "shortcut",
        "warning",
        f"{what}; the most frequent class is {percent(majority)} (small decision trees, cross-validated)",
        "no action needed if the images are cropped to objects whose shape depends on the class; if they come from different "
        "sources, save all images in one size",
        about=1,
        topic="file properties",
        facts=(_SIZE,),
    )


def _by_bytes(reached: float, majority: float) -> Finding:
    return Finding(
        "shortcut",
        "note",
        f"the size in bytes of a file alone predicts the class of {percent(reached)} of the images; the most frequent "
        f"class is {percent(majority)}; format, size in pixels and JPEG quality do not predict it",
        "no action needed if the images of one class show more detail, which takes more bytes; if they were compressed "
        "differently, save all images again from their sources in the same way",
        about=1,
        topic="size in bytes",
        facts=("the size in bytes",),
    )


def _by_colour(reached: float, majority: float) -> Finding:
    return Finding(
        "shortcut",
        "note",
        f"the mean colour of an image alone predicts the class of {percent(reached)}; the most frequent class is "
        f"{percent(majority)}",
        "no action needed if the classes really differ in colour; if only the light or the background differs, add images of "
        "each class from other places",
        about=1,
        topic="mean colour",
        facts=("the mean colour",),
    )


def _by_name(dataset: Dataset) -> list[Finding]:
    """Classes with a file naming pattern that other classes don't have, which hints at a different source."""
    if len(dataset.class_names) > 50:
        return []
    of_class: list[Counter[str]] = [Counter() for _ in dataset.class_names]
    for shape, k in zip(name_shapes(dataset), dataset.labels.tolist(), strict=True):
        of_class[k][shape] += 1
    own = []
    for k, counter in enumerate(of_class):
        if not counter:  # a class without an image
            continue
        shape, n = counter.most_common(1)[0]
        elsewhere = sum(other[shape] for j, other in enumerate(of_class) if j != k)
        if n >= max(FEWEST, 0.9 * counter.total()) and elsewhere <= 0.05 * n:
            own.append((dataset.class_names[k], shape))
    if not own:
        return []
    said = "; ".join(f"'{printable(name)}' as '{printable(shape)}'" for name, shape in own[:4])
    return [
        Finding(
            "shortcut",
            "note",
            f"the files of {len(own):,} of {len(of_class):,} classes have a different naming pattern: {said}",
            "no action needed if the files were renamed; if the classes come from different cameras or sites, add images of "
            "each class from each of them",
            about=len(own),
            topic="file names",
            facts=("the name",),
        )
    ]


def name_shapes(dataset: Dataset) -> list[str]:
    """Of each image the pattern of its file's name: digits are "#", the class's own name is "*"."""
    labels = dataset.labels.tolist()
    return [_shape(name, dataset.class_names[k]) for name, k in zip(dataset.ids, labels, strict=True)]


def _shape(name: str, class_name: str) -> str:
    """A file's name with digits as #, and the class's name left out.

    >>> _shape("cats/IMG_0032.JPG", "cats"), _shape("cats/cat_7.png", "cat"), _shape("cats/cats_7.png", "cats")
    ('IMG_#.JPG', '*_#.png', '*_#.png')
    """
    stem = name.rpartition("/")[2]
    whole = class_name.casefold()
    for part in dict.fromkeys((whole, whole.rstrip("s"))):  # the longer one first
        if part and not part.isdecimal():
            stem = re.sub(re.escape(part), "*", stem, flags=re.IGNORECASE)
    return re.sub(r"\d+", "#", stem)
