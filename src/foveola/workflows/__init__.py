"""The verbs behind the command line and the Python functions: train, predict, evaluate, check, compare, explain, filter...

They combine the other rooms and print nothing. A name is imported when it is first used, so a verb's file can import what the
verb needs, and `foveola --help` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveola.evaluation.headline import decided as decided
    from foveola.evaluation.headline import headlines as headlines
    from foveola.evaluation.headline import with_interval as with_interval
    from foveola.models.feature_sets import in_words as in_words
    from foveola.runs.folders import find_run as find_run
    from foveola.runs.progress import Plan as Plan
    from foveola.runs.progress import Progress as Progress
    from foveola.runs.progress import fold_sentence as fold_sentence
    from foveola.runs.progress import on_features as on_features
    from foveola.runs.progress import row_seconds as row_seconds
    from foveola.runs.progress import row_sentence as row_sentence
    from foveola.storage import require_new as require_new
    from foveola.storage import require_writable as require_writable
    from foveola.training.history import EpochLog as EpochLog
    from foveola.training.history import FoldLog as FoldLog
    from foveola.training.history import ProbeLog as ProbeLog
    from foveola.training.history import Row as Row
    from foveola.training.history import StepLog as StepLog
    from foveola.training.history import is_better as is_better
    from foveola.workflows.checking import PAGE as PAGE
    from foveola.workflows.checking import Checked as Checked
    from foveola.workflows.checking import check as check
    from foveola.workflows.checking import require_outputs as require_outputs
    from foveola.workflows.comparing import compare as compare
    from foveola.workflows.comparing import data_and_recipes as data_and_recipes
    from foveola.workflows.course import write_course as write_course
    from foveola.workflows.datasets import Data as Data
    from foveola.workflows.datasets import open_data as open_data
    from foveola.workflows.datasets import open_dataset as open_dataset
    from foveola.workflows.datasets import prepare as prepare
    from foveola.workflows.datasets import read_image as read_image
    from foveola.workflows.datasets import split as split
    from foveola.workflows.datasets import suggest_size as suggest_size
    from foveola.workflows.evaluating import evaluate as evaluate
    from foveola.workflows.evaluating import report as report
    from foveola.workflows.explaining import explain as explain
    from foveola.workflows.filtering import filter as filter
    from foveola.workflows.listings import catalog as catalog
    from foveola.workflows.listings import load_plugin as load_plugin
    from foveola.workflows.listings import runs as runs
    from foveola.workflows.listings import show as show
    from foveola.workflows.predicting import predict as predict
    from foveola.workflows.showing import show_data as show_data
    from foveola.workflows.thresholds import threshold as threshold
    from foveola.workflows.training import demo as demo
    from foveola.workflows.training import train as train

_WHERE = {
    "foveola.evaluation.headline": ("decided", "headlines", "with_interval"),
    "foveola.models.feature_sets": ("in_words",),
    "foveola.runs.folders": ("find_run",),
    "foveola.runs.progress": ("Plan", "Progress", "fold_sentence", "on_features", "row_seconds", "row_sentence"),
    "foveola.storage": ("require_new", "require_writable"),
    "foveola.training.history": ("EpochLog", "FoldLog", "ProbeLog", "Row", "StepLog", "is_better"),
    "foveola.workflows.checking": ("PAGE", "Checked", "check", "require_outputs"),
    "foveola.workflows.comparing": ("compare", "data_and_recipes"),
    "foveola.workflows.course": ("write_course",),
    "foveola.workflows.datasets": (
        "Data", "open_data", "open_dataset", "prepare", "read_image", "split", "suggest_size",
    ),
    "foveola.workflows.evaluating": ("evaluate", "report"),
    "foveola.workflows.explaining": ("explain",),
    "foveola.workflows.filtering": ("filter",),
    "foveola.workflows.listings": ("catalog", "load_plugin", "runs", "show"),
    "foveola.workflows.predicting": ("predict",),
    "foveola.workflows.showing": ("show_data",),
    "foveola.workflows.thresholds": ("threshold",),
    "foveola.workflows.training": ("demo", "train"),
}  # fmt: skip
"""Module -> the names that it gives."""

_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [*sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'foveola.workflows' has no attribute '{name}'")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value
