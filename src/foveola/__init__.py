"""foveola: from a folder of images to an image classifier that is trained, measured honestly and reported.

    import foveola as fv

    run = fv.train("photos", epochs=20)
    print(run.evaluation.accuracy, run.evaluation.interval)
    run.predict(["new.jpg"])

Names are resolved when they are first used, so `import foveola` costs nothing and imports no torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from foveola import figures as figures
    from foveola.data.arrays import from_arrays as from_arrays
    from foveola.data.builtin import DATASETS as DATASETS
    from foveola.data.dataset import Dataset as Dataset
    from foveola.errors import DataError as DataError
    from foveola.errors import FoveolaError as FoveolaError
    from foveola.errors import ResourceError as ResourceError
    from foveola.errors import UsageError as UsageError
    from foveola.explanations import EXPLANATIONS as EXPLANATIONS
    from foveola.filters.chain import FILTERS as FILTERS
    from foveola.filters.chain import Chain as Chain
    from foveola.imaging.resize import resize as resize
    from foveola.models.build import build as build
    from foveola.models.registry import MODELS as MODELS
    from foveola.runs.predictor import Predictor as Predictor
    from foveola.runs.progress import Progress as Progress
    from foveola.runs.run import Run as Run
    from foveola.runs.run import open_run as open_run
    from foveola.types import Size as Size
    from foveola.workflows import catalog as catalog
    from foveola.workflows import check as check
    from foveola.workflows import compare as compare
    from foveola.workflows import demo as demo
    from foveola.workflows import evaluate as evaluate
    from foveola.workflows import explain as explain
    from foveola.workflows import filter as filter
    from foveola.workflows import load_plugin as load_plugin
    from foveola.workflows import open_dataset as open_dataset
    from foveola.workflows import predict as predict
    from foveola.workflows import prepare as prepare
    from foveola.workflows import read_image as read_image
    from foveola.workflows import report as report
    from foveola.workflows import runs as runs
    from foveola.workflows import show as show
    from foveola.workflows import show_data as show_data
    from foveola.workflows import split as split
    from foveola.workflows import threshold as threshold
    from foveola.workflows import train as train
    from foveola.workflows import write_course as write_course

_WHERE = {
    "Chain": "foveola.filters.chain",
    "DATASETS": "foveola.data.builtin",
    "DataError": "foveola.errors",
    "Dataset": "foveola.data.dataset",
    "EXPLANATIONS": "foveola.explanations",
    "FILTERS": "foveola.filters.chain",
    "FoveolaError": "foveola.errors",
    "MODELS": "foveola.models.registry",
    "Predictor": "foveola.runs.predictor",
    "Progress": "foveola.runs.progress",
    "ResourceError": "foveola.errors",
    "Run": "foveola.runs.run",
    "Size": "foveola.types",
    "UsageError": "foveola.errors",
    "build": "foveola.models.build",
    "catalog": "foveola.workflows",
    "check": "foveola.workflows",
    "compare": "foveola.workflows",
    "demo": "foveola.workflows",
    "evaluate": "foveola.workflows",
    "explain": "foveola.workflows",
    "filter": "foveola.workflows",
    "from_arrays": "foveola.data.arrays",
    "load_plugin": "foveola.workflows",
    "open_dataset": "foveola.workflows",
    "open_run": "foveola.runs.run",
    "predict": "foveola.workflows",
    "prepare": "foveola.workflows",
    "read_image": "foveola.workflows",
    "report": "foveola.workflows",
    "resize": "foveola.imaging.resize",
    "runs": "foveola.workflows",
    "show": "foveola.workflows",
    "show_data": "foveola.workflows",
    "split": "foveola.workflows",
    "threshold": "foveola.workflows",
    "train": "foveola.workflows",
    "write_course": "foveola.workflows",
}
"""Each public name and its module. `figures` is a module itself."""

__all__ = [*sorted([*_WHERE, "figures"]), "__version__"]


def __getattr__(name: str) -> Any:
    if name == "figures":
        return importlib.import_module("foveola.figures")
    if name not in _WHERE:
        raise AttributeError(f"module 'foveola' has no attribute '{name}'")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """This package. Importing its part `foveola.report` would put a module where users call the verb `fv.report`."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in _WHERE):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
