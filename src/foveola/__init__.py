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
    from foveola.data.arrays import from_arrays as from_arrays
    from foveola.data.builtin import DATASETS as DATASETS
    from foveola.errors import DataError as DataError
    from foveola.errors import FoveolaError as FoveolaError
    from foveola.errors import ResourceError as ResourceError
    from foveola.errors import UsageError as UsageError
    from foveola.explanations.registry import EXPLANATIONS as EXPLANATIONS
    from foveola.filters.chain import FILTERS as FILTERS
    from foveola.filters.chain import Chain as Chain
    from foveola.models.registry import MODELS as MODELS
    from foveola.runs.run import Run as Run
    from foveola.runs.run import open_run as open_run
    from foveola.types import Size as Size
    from foveola.workflows import check as check
    from foveola.workflows import compare as compare
    from foveola.workflows import demo as demo
    from foveola.workflows import evaluate as evaluate
    from foveola.workflows import explain as explain
    from foveola.workflows import filter as filter
    from foveola.workflows import load_plugin as load_plugin
    from foveola.workflows import predict as predict
    from foveola.workflows import report as report
    from foveola.workflows import runs as runs
    from foveola.workflows import show as show
    from foveola.workflows import show_data as show_data
    from foveola.workflows import train as train

_WHERE = {
    "Chain": "foveola.filters.chain",
    "DATASETS": "foveola.data.builtin",
    "DataError": "foveola.errors",
    "EXPLANATIONS": "foveola.explanations.registry",
    "FILTERS": "foveola.filters.chain",
    "FoveolaError": "foveola.errors",
    "MODELS": "foveola.models.registry",
    "ResourceError": "foveola.errors",
    "Run": "foveola.runs.run",
    "Size": "foveola.types",
    "UsageError": "foveola.errors",
    "check": "foveola.workflows",
    "compare": "foveola.workflows",
    "demo": "foveola.workflows",
    "evaluate": "foveola.workflows",
    "explain": "foveola.workflows",
    "filter": "foveola.workflows",
    "from_arrays": "foveola.data.arrays",
    "load_plugin": "foveola.workflows",
    "open_run": "foveola.runs.run",
    "predict": "foveola.workflows",
    "report": "foveola.workflows",
    "runs": "foveola.workflows",
    "show": "foveola.workflows",
    "show_data": "foveola.workflows",
    "train": "foveola.workflows",
}

__all__ = [*sorted(_WHERE), "__version__"]


def __getattr__(name: str) -> Any:
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
