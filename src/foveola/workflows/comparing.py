"""`compare`: train arms (settings that differ in one thing) over the same seeds and test the difference."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from foveola.comparison.arms import SHORT, Arm, parse_arm, require_arms, require_fair
from foveola.comparison.statistics import LEAST_SEEDS
from foveola.compute.threads import adapting, require_threads
from foveola.config import checks_keywords
from foveola.errors import UsageError
from foveola.jupyter import shown_in_notebooks
from foveola.runs.folders import require_format, slug
from foveola.runs.progress import Progress
from foveola.storage import digest, require_new_folder, require_writable
from foveola.text import joined
from foveola.workflows.comparison_runner import Trials
from foveola.workflows.comparison_series import Series, TimeLimit
from foveola.workflows.datasets import Data

if TYPE_CHECKING:
    from foveola.comparison.arms import AllowedDifferences
    from foveola.comparison.result import Comparison
    from foveola.recipes.recipe import Recipe


@checks_keywords()
@shown_in_notebooks
def compare(
    data: Data | None,
    arms: Sequence[str | os.PathLike[str] | Mapping[str, object]],
    *,
    seeds: int | str | Sequence[int] = 10,
    settings: Mapping[str, object] | None = None,
    question: Sequence[str] = (),
    allow: Sequence[str] = (),
    margin: float = 0.5,
    half_width: float | None = None,
    budget: str | float | None = None,
    runs: str | os.PathLike[str] = "runs",
    out: str | os.PathLike[str] | None = None,
    jobs: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare settings over several seeds: train each arm with each seed, test the differences and write a page.

    arms: "plain", "sharpened: chain=sharpen", settings with a "name", or a recipe file ("a.toml"). The first arm is the
    baseline. All other settings are equal: those in `settings` ({"model.name": "fast"}), and the defaults of `train`. data:
    as for `train`; None: the data that the recipes name. seeds: a number (from 0), "0-9", or a list. All arms use the same
    seeds, so each pair has the same split, initial weights, image order and augmentation.

    question: the settings that may differ (what the arms name); allow: also allow these settings to differ. margin: the
    smallest difference that matters, in points. half_width: the desired half-width of the interval, in points: after
    two seeds a note says how many seeds it needs. budget: time for the whole comparison, which ends after the last
    pair that fits. threads: number of threads of each run (default: one for every four cores, at least one); finished
    runs with another number are not used, because their rounding differs. jobs: how many runs to train at once (0: as
    the cores allow, up to four).

    Finished runs below `runs` are used again, so an interrupted comparison continues. The page and its numbers go to
    the folder `out` (default: a folder below `runs`): updated after every seed (or few seeds in
    parallel), so a killed comparison leaves its results so far. Raises UsageError for arms that can't be compared.

        found = fv.compare("photos", ["plain", "sharpened: chain=sharpen"], seeds=5)
        print(found.against_baseline()[0].sentence, found.page)
    """
    require_threads(threads)
    progress = progress or Progress()
    started = monotonic()
    parsed, wanted = [_arm(arm) for arm in arms], parse_seeds(seeds)
    _require_points(margin, half_width)
    require_arms(parsed)
    _require_place(Path(runs), out)
    trials = Trials.open(data, parsed, settings or {}, Path(runs), jobs, threads or 0, progress)
    recipes = trials.recipes(wanted[0])
    fair = require_fair(parsed, recipes, question, allow)
    folder, about = _folder(trials, recipes, Path(runs), out)
    trials.settle(len(wanted))
    for line in (*_warnings(fair, len(wanted)), *_changed(about, folder, Path(runs))):
        progress.tell(f"warning: {line}")
    known = _read(folder / "comparison.json")["seeds"] if (folder / "comparison.json").is_file() else []
    with adapting(trials.threads):
        trials.require_trainable(wanted[0])
        limit = TimeLimit.of(budget, started, trials, wanted[0])
        series = Series(
            parsed,
            wanted,
            trials,
            limit,
            fair,
            margin,
            half_width,
            folder,
            about,
            set(known),
            progress,
        )
        return series.run()


def _warnings(fair: AllowedDifferences, seeds: int) -> Iterator[str]:
    """Yield the warnings before the first run."""
    for key in fair.allowed:
        yield f"the arms also differ in {key}, which you allowed: it may cause the difference"
    if seeds < LEAST_SEEDS:
        yield (
            f"a verdict needs {LEAST_SEEDS} seeds, and this comparison has {seeds}: it shows differences without a verdict; "
            f"give --seeds {LEAST_SEEDS} or more"
        )


def _changed(about: Mapping[str, Any], folder: Path, runs: Path) -> Iterator[str]:
    """Warn if the same comparison exists for an older version of the data: its runs can't be paired with new ones."""
    for path in sorted((runs / "comparisons").glob("*/comparison.json")):
        try:
            there = _read(path)
        except UsageError:  # not ours, or damaged
            continue
        same = all(there.get(key) == about[key] for key in ("data", "recipes"))
        if same and there.get("fingerprint") != about["fingerprint"] and path.parent != folder:
            yield (
                f"{path.parent} contains the same comparison of an older version of {about['data']} (fingerprint "
                f"{str(there.get('fingerprint'))[:8]}, now {about['fingerprint'][:8]}): its runs can't be paired with "
                "new ones, so foveola trains all runs again"
            )


def parse_seeds(seeds: int | str | Sequence[int]) -> list[int]:
    """Parse seeds: "10", "0-9", "1,4,7" or a list.

    >>> parse_seeds(3), parse_seeds("2-4"), parse_seeds("1,4")
    ([0, 1, 2], [2, 3, 4], [1, 4])
    """
    if isinstance(seeds, str):
        text = seeds.strip()
        first, dash, last = text.partition("-")
        parts = [first, last] if dash else text.split(",")
        if not all(part.strip().isdecimal() for part in parts):
            raise UsageError(f"seeds '{seeds}' can't be read: write a number (10), a range (0-9) or a list (1,4,7)")
        numbers = [int(part) for part in parts]
        several: Sequence[int] = range(numbers[0], numbers[1] + 1) if dash else numbers
        seeds = numbers[0] if len(numbers) == 1 else several
    found = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not found:
        raise UsageError("there is no seed: give at least one, or five for a verdict")
    if len(set(found)) < len(found):
        raise UsageError(f"seed {next(s for s in found if found.count(s) > 1)} is given twice: give each seed once")
    return found


def data_and_recipes(given: Sequence[str]) -> tuple[str | None, list[str]]:
    """Separate the data from the recipes (.toml) in the arguments. Raises UsageError for more than one data set.

    >>> data_and_recipes(["photos", "a.toml", "b.toml"])
    ('photos', ['a.toml', 'b.toml'])
    """
    recipes = [word for word in given if word.endswith(".toml")]
    data = [word for word in given if word not in recipes]
    if len(data) > 1:
        raise UsageError(
            f"{joined(data)} are {len(data)} data sets, but a comparison takes one: give the arms with --arm"
        )
    return (data[0] if data else None), recipes


def _require_points(margin: float, half_width: float | None) -> None:
    if not 0 <= margin < math.inf:
        raise UsageError(f"margin must be 0 or more percentage points, such as 0.5; got {margin:g}")
    if half_width is not None and not 0 < half_width < math.inf:
        raise UsageError(f"half-width must be above 0 percentage points, such as 0.5; got {half_width:g}")


def _arm(given: str | os.PathLike[str] | Mapping[str, object]) -> Arm:
    if not isinstance(given, Mapping):
        return parse_arm(os.fspath(given))
    settings = {SHORT.get(key, key): value for key, value in given.items() if key != "name"}
    return Arm(str(given.get("name") or ", ".join(f"{k}={v}" for k, v in settings.items()) or "plain"), settings)


def _require_place(runs: Path, out: str | os.PathLike[str] | None) -> None:
    """Refuse a folder for the page that contains something other than a comparison or can't be written, before any work."""
    folder = runs / "comparisons" / "new" if out is None else Path(out)
    if out is None or (folder / "comparison.json").is_file():
        require_writable(folder / "comparison.html")
    else:
        require_new_folder(folder)


def _folder(
    trials: Trials, recipes: Sequence[Recipe], runs: Path, out: str | os.PathLike[str] | None
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of the page and the first entries of its comparison.json.

    Raises UsageError for a folder with the comparison of other data or other arms.
    """
    dataset = trials.dataset
    about = {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "recipes": {arm.name: recipe.fingerprint for arm, recipe in zip(trials.arms, recipes, strict=True)},
    }
    key = digest(json.dumps(about))[:8]
    folder = Path(out) if out is not None else runs / "comparisons" / f"{slug(dataset.name)}-{key}"
    if not (folder / "comparison.json").is_file():
        return folder, about
    there = _read(folder / "comparison.json")
    if there.get("fingerprint") != dataset.fingerprint:
        raise UsageError(
            f"{folder} contains a comparison of other data ({there.get('data')}, fingerprint "
            f"{str(there.get('fingerprint'))[:8]}; given is {dataset.name}, {dataset.fingerprint[:8]}), and runs of "
            "different data can't be paired: choose another --out, or give the same data"
        )
    if there.get("recipes") != about["recipes"]:
        raise UsageError(
            f"{folder} contains a different comparison ({', '.join(there.get('recipes', {}))}): choose another --out, or "
            "give the same arms and options to continue it"
        )
    return folder, about


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        raise UsageError(f"{path} can't be read: choose another --out, or delete the folder") from None
    require_format(found, str(path), "choose another --out, or delete the folder")
    return found
