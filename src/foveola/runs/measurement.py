"""The result of `evaluate`: predictions, the measured data and the calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from foveola.checks.fingerprints import SeenCounts
from foveola.data.dataset import Dataset, Problem
from foveola.evaluation.calibration import Calibration
from foveola.evaluation.calibration_report import CalibrationReport
from foveola.evaluation.metrics import Evaluation, result_numbers
from foveola.runs.data_summary import DataSummary
from foveola.runs.run import Run
from foveola.text import printable


@dataclass(frozen=True, repr=False, kw_only=True)
class Measurement(Evaluation):
    """An `Evaluation` of a run on a data set, with everything that `foveola evaluate` prints.

    run: the run's folder; data: the data set's name; files_found, files_used, files_ignored and problems: how the files of
    that data set add up; calibration: the run's held-out predictions; test_opened:
    how often the run's test part has been opened by now; used_test: whether this measurement used it; copy_of: for each image
    that was trained on (`trained_on`) the name of the training image that it is or nearly is, "" for the others and where it
    is not known; notes: how the folders were read, and what a reader of the numbers must know.

        found = fv.evaluate("latest", "other-photos")
        found.accuracy, found.interval, found.per_class
    """

    run: Path
    data: str
    files_found: int
    files_used: int
    files_ignored: int
    problems: tuple[Problem, ...] = ()
    calibration: Calibration
    test_opened: int = 1
    used_test: bool = True
    copy_of: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        run: Run,
        answers: Evaluation,
        data: Dataset | DataSummary,
        notes: Sequence[str],
        used_test: bool = True,
        seen: SeenCounts | None = None,
    ) -> Measurement:
        """The measurement that these answers of a run to this data make."""
        copies = seen.of_training if seen else ("",) * len(answers)
        return cls(
            **{field.name: getattr(answers, field.name) for field in fields(answers)},
            run=run.path,
            data=data.name,
            files_found=data.files_found,
            files_used=data.files_used if isinstance(data, DataSummary) else len(data),
            files_ignored=data.files_ignored,
            problems=data.problems,
            calibration=run.calibration,
            test_opened=run.test_opened,
            used_test=used_test,
            copy_of=copies,
            notes=tuple(notes),
        )

    def to_json(self) -> dict[str, Any]:
        """What `foveola evaluate --json` prints."""
        return {
            "run": str(self.run),
            "data": self.data,
            "n_test": len(self),
            **result_numbers(self),
            **CalibrationReport(self, self.calibration).numbers(),
            "trained_on": [
                {"file": printable(name), "copy_of": printable(original)}
                for name, original, known in zip(self.ids, self.copy_of, self.trained_on, strict=True)
                if known
            ]
            if self.trained_on is not None
            else None,
            "test_opened": self.test_opened,
            "used_test": self.used_test,
            "notes": list(self.notes),
            "files_found": self.files_found,
            "files_used": self.files_used,
            "files_ignored": self.files_ignored,
            "problems": [{"file": problem.file, "reason": problem.reason} for problem in self.problems],
        }
