"""The workflows behind the command line and the Python functions: train, predict, evaluate, check, compare, explain.

They combine the other rooms and print nothing.

torch costs two seconds to import, so the rooms that need it are imported inside the verbs that do (docs/architecture.md).
"""

from foveola.runs.progress import Plan, Watch, percent, row_seconds, row_sentence, with_interval
from foveola.storage import require_new, require_writable
from foveola.training.history import EpochLog as EpochLog
from foveola.training.history import ProbeLog as ProbeLog
from foveola.training.history import Row
from foveola.training.history import StepLog as StepLog
from foveola.training.history import is_better as is_better
from foveola.workflows.answers import (
    abstained,
    evaluate,
    headline,
    predict,
    prediction_notes,
    report,
)
from foveola.workflows.answers import (
    test_uses_of as test_uses_of,
)
from foveola.workflows.checking import PAGE, Checked, check, require_outputs
from foveola.workflows.comparing import compare, data_and_recipes
from foveola.workflows.course import write_course
from foveola.workflows.datasets import Data, count_files, open_data, printable, suggest_size
from foveola.workflows.explaining import Explained, explain
from foveola.workflows.filtering import Filtered, filter
from foveola.workflows.listings import Entry, find_run, listing, runs, show, show_defaults
from foveola.workflows.plugins import load_plugin
from foveola.workflows.showing import show_data
from foveola.workflows.training import demo, reading, train

__all__ = [
    "PAGE",
    "Checked",
    "Data",
    "Entry",
    "EpochLog",
    "Explained",
    "Filtered",
    "Plan",
    "ProbeLog",
    "Row",
    "StepLog",
    "Watch",
    "abstained",
    "check",
    "compare",
    "count_files",
    "data_and_recipes",
    "demo",
    "evaluate",
    "explain",
    "filter",
    "find_run",
    "headline",
    "is_better",
    "listing",
    "load_plugin",
    "open_data",
    "percent",
    "predict",
    "prediction_notes",
    "printable",
    "reading",
    "report",
    "require_new",
    "require_outputs",
    "require_writable",
    "row_seconds",
    "row_sentence",
    "runs",
    "show",
    "show_data",
    "show_defaults",
    "suggest_size",
    "test_uses_of",
    "train",
    "with_interval",
    "write_course",
]
