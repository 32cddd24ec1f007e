"""The command line: one command a verb. Parse, call the verb, print what it gives.

Exit codes: 0 done, 2 usage, 3 data, 4 resource, 130 interrupted. Results go to stdout, progress and errors to stderr.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from foveola import workflows
from foveola.errors import FoveolaError, count
from foveola.types import Size

if TYPE_CHECKING:
    from foveola.lab.comparison import Comparison
    from foveola.lab.inference import Prediction
    from foveola.lab.runs import Run

app = typer.Typer(
    help="From a folder of pictures to an image classifier, measured honestly, on a laptop.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout; progress goes to stderr.")
]
RunPath: TypeAlias = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", "--option", metavar="KEY=VALUE", help="Any option by its name; may be given again."),
]
Seed: TypeAlias = Annotated[int, typer.Option(help="Decides split, first weights, order and augmentation.")]
Out: TypeAlias = Annotated[Path | None, typer.Option(help="Make this new folder the run folder.")]


@app.command()
def train(
    data: Annotated[
        str | None, typer.Argument(help="A folder of class folders, an .npz file, cifar10 or digits.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A network: see `foveola list models`. [default: by size]")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training pictures. [default: by their number]")
    ] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in pixels. [default: by the pictures]")] = None,
    chain: Annotated[
        str | None,
        typer.Option(help='Filters for every picture: "blur(size=3)|sharpen"; see `foveola list filters`.'),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="How long it may take, such as 5m, in place of epochs: network and epochs to fill it."),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe file (TOML); the options here go before it.")] = None,
    seed: Seed = 0,
    batch_size: Annotated[int | None, typer.Option(help="Pictures a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    flip: Annotated[bool | None, typer.Option("--flip/--no-flip", help="Mirror left-right while training.")] = None,
    labels: Annotated[Path | None, typer.Option(help="A CSV table of file and label.")] = None,
    label_pattern: Annotated[str | None, typer.Option(help="A regular expression; its group is the class.")] = None,
    group_by: Annotated[
        str | None, typer.Option(help="Column or regular expression: what must stay on one side.")
    ] = None,
    exclude: Annotated[
        Path | None, typer.Option(help="A list of pictures to leave out, as `foveola check --fix` writes it.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16.")] = None,
    set_: Settings = None,
    out: Out = None,
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    json_: Json = False,
) -> None:
    """Train a classifier, measure it on pictures it never saw, write a report."""
    from foveola.screen import Screen

    settings: dict[str, object] = {
        "fit.batch_size": batch_size,
        "fit.lr_peak": lr,
        "fit.flip": flip,
        "fit.device": device,
        "fit.precision": precision,
        "data.labels": str(labels) if labels else None,
        "data.label_pattern": label_pattern,
        "data.group_by": group_by,
        "data.exclude": str(exclude) if exclude else None,
        **_settings(set_),
    }
    with Screen() as screen:
        run = workflows.train(
            data, model=model, epochs=epochs, size=size, chain=chain, budget=budget, seed=seed, recipe=recipe,
            settings=settings, out=out, runs=runs, watch=screen.watch,
        )  # fmt: skip
    _print_run(run, json_)


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="A folder of class folders, an .npz file, cifar10 or digits.")],
    out: Annotated[Path, typer.Option(help="The page with thumbnails; an older one is replaced.")] = Path("check.html"),
    fix: Annotated[
        Path | None, typer.Option(help="Write a list of what could be left out, for `foveola train --exclude`.")
    ] = None,
    suspects: Annotated[
        bool | None, typer.Option(help="Doubt labels. [default: if it takes less than a minute]")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="A CSV table of file and label.")] = None,
    label_pattern: Annotated[str | None, typer.Option(help="A regular expression; its group is the class.")] = None,
    exclude: Annotated[Path | None, typer.Option(help="A list of pictures to leave out.")] = None,
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Look for what is wrong with data: damage, copies, leaks, shortcuts, odd pictures, labels that look wrong."""
    from foveola.screen import Screen

    settings = {
        "data.labels": str(labels) if labels else None,
        "data.label_pattern": label_pattern,
        "data.exclude": str(exclude) if exclude else None,
        **_settings(set_),
    }
    with Screen() as screen:
        found = workflows.check(data, settings=settings, suspects=suspects, out=out, fix=fix, tick=screen.tick)
    if json_:
        _print_json(found.to_json())
        return
    _say(workflows.printable(found.headline))
    for finding in found.findings:
        _say(f"{finding.severity + ':':8} {finding.message}")
        _say(f"         {finding.advice}")
    for remark in found.remarks:
        _say(f"note:    {remark}")
    _say(f"page     {out}")
    if fix is not None:
        _say(f"list     {fix}: read it, then foveola train DATA --exclude {fix}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the pictures and the run go.")] = Path("demo"),
    epochs: Annotated[int, typer.Option(help="Passes over the training pictures.")] = 12,
    seed: Seed = 0,
    out: Out = None,
    json_: Json = False,
) -> None:
    """The main job on embedded data: 1,797 hand-written digits, written as an image folder, trained and reported."""
    from foveola.screen import Screen

    with Screen() as screen:
        run = workflows.demo(folder, epochs=epochs, seed=seed, out=out, watch=screen.watch)
    _print_run(run, json_)


@app.command()
def evaluate(
    run: RunPath,
    data: Annotated[str | None, typer.Argument(help="Other data to measure on. [default: the run's test part]")] = None,
    json_: Json = False,
) -> None:
    """Measure a run: accuracy with its interval, loss, per-class numbers."""
    from foveola.screen import Screen

    notes: list[str] = []
    with Screen() as screen:
        found, dataset = workflows.evaluate(run, data, tell=notes.append, tick=screen.tick)
    _warn(notes)
    low, high, _ = found.interval
    numbers = {
        "run": str(run),
        "n_test": len(found),
        "test_accuracy": found.accuracy,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "majority_accuracy": found.majority_accuracy,
        "test_loss": found.loss,
        "per_class": [row._asdict() for row in found.per_class],
        "confusion": found.confusion.tolist(),
        **workflows.confidence(run, found),
        "test_opened": workflows.openings(run),
        "notes": notes,
        **(workflows.count_files(dataset) if dataset is not None else {}),
    }
    if json_:
        _print_json(numbers)
        return
    _say(workflows.headline(numbers))
    _say(f"loss {found.loss:.3f} nats per picture")
    _say(_calibrated(numbers))
    rows = [
        (
            r.name,
            f"{r.precision:.3f}",
            f"{r.recall:.3f} ({r.recall_low:.3f} to {r.recall_high:.3f})",
            f"{r.f1:.3f}",
            f"{r.support:,}",
        )
        for r in found.per_class
    ]
    _table(("class", "precision", "recall (95 % interval)", "F1", "pictures"), rows)
    if numbers["test_opened"] > 1:
        _say(
            f"the run's test part has been opened {numbers['test_opened']:,} times: what is chosen by it makes its number "
            "say less about new pictures"
        )


@app.command()
def predict(
    run: RunPath,
    files: Annotated[list[Path], typer.Argument(metavar="FILE-OR-FOLDER...", help="Pictures, or folders of them.")],
    abstain: Annotated[
        float | None,
        typer.Option(help='The share of wrong answers that is allowed, such as 0.05; else it says "don\'t know".'),
    ] = None,
    csv_: Annotated[Path | None, typer.Option("--csv", help="Write label and all probabilities to this file.")] = None,
    json_: Json = False,
) -> None:
    """Name the class of pictures, with calibrated probabilities."""
    from foveola.screen import Screen

    with Screen() as screen:
        answers = workflows.predict(run, files, abstain=abstain, tick=screen.tick)
    names = workflows.class_names(run)
    measured = None if abstain is None else workflows.abstained(run, abstain)
    if csv_ is not None:
        workflows.write_predictions(csv_, answers, names)
    if json_:
        said = {"run": str(run), "class_names": names, "predictions": [_answer(a, names) for a in answers]}
        _print_json(said if measured is None else {**said, "abstain": measured})
    else:
        _table(("file", "label", "probability"), [_answer_row(a) for a in answers])
        if measured is not None:
            _say(_abstention(answers, measured))
    if all(answer.problem for answer in answers):
        raise typer.Exit(3)


@app.command()
def explain(
    run: RunPath,
    picture: Annotated[
        str, typer.Argument(metavar="IMAGE", help="A picture; for max_activating and embedding data; - for kernels.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The new figure (.png, .svg, .pdf), or folder of figures.")
    ],
    method: Annotated[str, typer.Option(help="See `foveola list explanations`.")] = "gradcam",
    stage: Annotated[str, typer.Option(help="A layer by its name. [default: the last; feature_maps: all]")] = "",
    class_: Annotated[str | None, typer.Option("--class", help="Which class. [default: the network's answer]")] = None,
    place: Annotated[
        tuple[int, int, int] | None, typer.Option(help="CHANNEL ROW COLUMN, for one_pixel. [default: the greatest]")
    ] = None,
    how: Annotated[str, typer.Option(help="For embedding: tsne or pca.")] = "tsne",
    json_: Json = False,
) -> None:
    """Draw what a run's network sees: heat maps, feature maps, kernels, one pixel's arithmetic, the test part laid out."""
    from foveola.screen import Screen

    notes: list[str] = []
    with Screen() as screen:
        found = workflows.explain(
            run,
            picture,
            out,
            method,
            stage=stage,
            label=class_,
            place=place,
            how=how,
            tell=notes.append,
            tick=screen.tick,
        )
    _warn(notes)
    if json_:
        _print_json({
            "run": str(run), "method": method, "written": [str(path) for path in found.written],
            "label": found.label, "probability": found.probability, "notes": notes,
        })  # fmt: skip
        return
    if found.label:
        _say(f"{found.label}, {100 * found.probability:.1f} %")
    for path in found.written:
        _say(f"wrote {path}")


@app.command()
def filter(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, or a folder of pictures.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new file (.png, .jpg) or folder.")],
    chain: Annotated[str, typer.Option(help='Filters, such as "blur(size=3)|sharpen": see `foveola list filters`.')],
    steps: Annotated[bool, typer.Option("--steps", help="Draw the picture after each step instead.")] = False,
    kernel_view: Annotated[
        bool, typer.Option("--kernel-view", help="Draw each kernel's numbers and what it does instead.")
    ] = False,
    json_: Json = False,
) -> None:
    """Send pictures through a chain of image kernels and other filters."""
    from foveola.errors import UsageError
    from foveola.screen import Screen

    if steps and kernel_view:
        raise UsageError("--steps and --kernel-view are two figures: ask for one at a time")
    with Screen() as screen:
        found = workflows.filter(
            source, out, chain, drawing="steps" if steps else "kernel-view" if kernel_view else None, tick=screen.tick
        )
    if json_:
        problems = [{"file": file, "reason": reason} for file, reason in found.problems]
        _print_json({"written": [str(path) for path in found.written], "problems": problems})
    else:
        _say_problems(found.problems, len(found.written) + len(found.problems))
        _say(f"{count(len(found.written), 'picture')} in {out}" if source.is_dir() else f"wrote {out}")
    if not found.written:
        raise typer.Exit(3)


@app.command()
def report(run: RunPath, json_: Json = False) -> None:
    """Write a run's report.html anew."""
    path = workflows.report(run)
    _print_json({"run": str(run), "report": str(path)}) if json_ else _say(f"report  {path}")


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="A network: see `foveola list models`.")],
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "",
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 0,
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Print a network's layers, output shapes and parameters."""
    default_size, default_classes = workflows.SHOW_DEFAULTS.get(model, ("32x32", 10))
    shape = Size.parse(size or default_size)
    options = {key.removeprefix("model."): value for key, value in _settings(set_).items()}
    found = workflows.show(model, shape, classes or default_classes, options)
    if json_:
        rows = [
            {"layer": r.name, "kind": r.kind, "output_shape": list(r.shape), "parameters": r.parameters}
            for r in found.rows
        ]
        _print_json({
            "model": model, "size": str(shape), "classes": classes or default_classes, "layers": rows,
            "parameters": found.parameters, "trainable": found.trainable,
        })  # fmt: skip
        return
    _say(f"{model}, pictures of {shape}, {count(classes or default_classes, 'class', 'classes')}")
    _table(
        ("layer", "kind", "output shape", "parameters"),
        [(r.name, r.kind, " x ".join(map(str, r.shape)), f"{r.parameters:,}") for r in found.rows],
    )
    _say(f"parameters     {found.parameters:,}")
    _say(f"trainable      {found.trainable:,}")
    _say(f"not trainable  {found.parameters - found.trainable:,}")


@app.command()
def compare(
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DATA] [RECIPE.toml]...", help="The data as for train; recipes to compare."),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(help='"plain", or "sharpened: chain=sharpen"; twice or more, the first is the baseline.'),
    ] = None,
    seeds: Annotated[str, typer.Option(help="How many (from 0), a range 0-9, or a list 1,4,7.")] = "10",
    model: Annotated[str | None, typer.Option(help="The network of all arms.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of all arms.")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of all arms.")] = None,
    question: Annotated[list[str] | None, typer.Option(help="What may differ, such as chain or fit.lr_peak.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="What may differ besides; every result carries a warning.")
    ] = None,
    margin: Annotated[float, typer.Option(help="The difference, in points, below which nobody cares.")] = 0.5,
    precision: Annotated[
        float | None, typer.Option(help="Wanted half-width in points: says after two seeds how many it takes.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="How long all may take, such as 30m.")] = None,
    jobs: Annotated[int, typer.Option(help="How many runs side by side. [default: two, where that pays]")] = 0,
    set_: Settings = None,
    runs: Annotated[Path, typer.Option(help="Where run folders go, and are looked for.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="The folder of the page. [default: one below RUNS]")] = None,
    json_: Json = False,
) -> None:
    """Does it help, or was it luck? Train arms that differ in one thing, over the same seeds, and say what was shown."""
    from foveola.screen import Screen

    common = {"model.name": model, "fit.epochs": epochs, "data.size": size, **_settings(set_)}
    data, recipes = workflows.data_and_recipes(given or [])
    with Screen() as screen:
        found = workflows.compare(
            data, [*recipes, *(arm or [])], seeds=seeds,
            settings={key: value for key, value in common.items() if value is not None}, question=question or (),
            allow=allow or (), margin=margin, precision=precision, budget=budget, runs=runs, out=out, jobs=jobs,
            tell=lambda line: screen.tell(workflows.printable(line)), tick=screen.bar, progress=screen.runs,
        )  # fmt: skip
    if json_:
        _print_json({"page": str(found.page), **found.to_json()})
        return
    for warning in found.warnings:
        _say(f"warning: {warning}")
    _table(
        ("arm", "mean accuracy", f"{100 * found.level:.0f} % interval", "least to greatest", "a run", "seeds"),
        [_arm_row(found, k) for k in range(len(found.arms))],
    )
    for k, one in enumerate(found.against_baseline()):
        _say(one.sentence)
        for line in found.changes_in_words(k + 1):
            _say(f"    {line}")
    _say(f"page    {workflows.printable(str(found.page))}")


def _arm_row(found: Comparison, k: int) -> tuple[str, ...]:
    row, interval = 100 * found.accuracy[k], found.intervals[k]
    known = f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %" if interval else ""
    numbers = (f"{row.mean():.2f} %", known, f"{row.min():.2f} to {row.max():.2f} %")
    return found.arms[k].name, *numbers, f"{found.seconds(k):.0f} s", str(len(row))


@app.command("show-data")
def show_data(
    data: Annotated[str, typer.Argument(help="A folder of class folders, an .npz file, cifar10 or digits.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new folder for the figures.")],
    n: Annotated[int, typer.Option("--n", help="Pictures of each class.")] = 6,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH in pixels. [default: by the pictures]")] = None,
    chain: Annotated[str, typer.Option(help="Draw pictures before and after these filters, too.")] = "",
    json_: Json = False,
) -> None:
    """Draw what a data set looks like: classes, sizes, samples raw and prepared, mean pictures, colours."""
    from foveola.screen import Screen

    with Screen() as screen:
        written = workflows.show_data(data, out, n=n, size=size, chain=chain, tick=screen.tick)
    if json_:
        _print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        _say(f"wrote {path}")


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="models, datasets, filters or explanations.")] = "models",
    json_: Json = False,
) -> None:
    """List the networks, data sets, filters or explanations that are known by name."""
    entries = workflows.listing(kind)
    if json_:
        _print_json({kind: [{"name": e.name, "options": list(e.options), "text": e.text} for e in entries]})
        return
    for entry in entries:
        if kind == "filters":  # written as in a chain
            _say(f"{entry.signature if entry.options else entry.name}\n    {entry.text}")
            continue
        _say(f"{entry.name}: {entry.text}")
        for option in entry.options:
            _say(f"    {option}")


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path("runs"),
    json_: Json = False,
) -> None:
    """List the runs below a folder."""
    found = workflows.runs(folder)
    if json_:
        _print_json({"runs": [{**line._asdict(), "path": str(line.path)} for line in found]})
    elif not found:
        _say(f"no runs below {folder}: foveola train makes one")
    else:
        rows = [(str(r.path), r.status, r.data, r.model, _interval(r), _seconds(r.seconds)) for r in found]
        _table(("run", "status", "data", "model", "test accuracy", "time"), rows)


def _settings(texts: list[str] | None) -> dict[str, object]:
    from foveola.specs import parse_setting

    return dict(parse_setting(text) for text in texts or [])


def _print_run(run: Run, as_json: bool) -> None:
    result = run.result
    if as_json:
        _print_json(result)
        return
    problems = [(problem["file"], problem["reason"]) for problem in result["problems"]]
    _say_problems(problems, result["files_found"], "; the report lists them")
    _say(run.headline)
    _say(f"run     {workflows.printable(result['run'])}")
    _say(f"report  {workflows.printable(result['report'])}")


def _say_problems(problems: Sequence[tuple[str, str]], files: int, more: str = "") -> None:
    if not problems:
        return
    _say(f"{count(len(problems), 'file')} of {files:,} could not be used:")
    for file, reason in problems[:5]:
        _say(f"    {workflows.printable(file)}: {reason}")
    if len(problems) > 5:
        _say(f"    and {len(problems) - 5:,} more{more}")


def _print_json(value: Mapping[str, Any]) -> None:
    _say(json.dumps(value, indent=1))


def _warn(notes: Sequence[str]) -> None:
    """What must not be missed, on stderr: with --json it stands in the result too."""
    for note in notes:
        typer.echo(f"note: {workflows.printable(note)}", err=True)


def _say(text: str) -> None:
    typer.echo(text)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Columns under their heads; the first column to the left, numbers to the right."""
    cells = [header, *[tuple(workflows.printable(cell) for cell in row) for row in rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    right = [all(row[k][:1].isdigit() or not row[k] for row in cells[1:]) and k > 0 for k in range(len(header))]
    for row in cells:
        line = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
        _say("  ".join(line).rstrip())


def _answer(answer: Prediction, names: tuple[str, ...]) -> dict[str, Any]:
    if answer.problem:
        return {"file": answer.file, "problem": answer.problem}
    chances = {name: float(p) for name, p in zip(names, answer.probabilities, strict=True)}
    out = {"file": answer.file, "label": answer.label, "probability": answer.probability, "probabilities": chances}
    return out if answer.label_set is None else {**out, "label_set": answer.label_set}


def _answer_row(answer: Prediction) -> tuple[str, ...]:
    if answer.problem:
        return (answer.file, f"({answer.problem})", "")
    if answer.label_set is not None and not answer.label:
        return (answer.file, f"don't know ({' or '.join(answer.label_set) or 'like none of the classes'})", "")
    return (answer.file, answer.label, f"{100 * answer.probability:.1f} %")


def _calibrated(numbers: Mapping[str, Any]) -> str:
    """What the probabilities are worth, in one line."""
    if not numbers["n_calibration"]:
        how = "probabilities as the network gave them: the run was made before they were calibrated"
    else:
        on = count(numbers["n_calibration"], "picture")
        how = f"probabilities calibrated on {on}, temperature {numbers['temperature']:.2f}"
    return (
        f"{how}; expected calibration error {100 * numbers['ece']:.1f} % (95 % interval {100 * numbers['ece_low']:.1f} to "
        f"{100 * numbers['ece_high']:.1f} %, {100 * numbers['ece_by_chance']:.1f} % by chance alone)"
    )


def _abstention(answers: Sequence[Prediction], measured: Mapping[str, Any]) -> str:
    """How many were answered, what is stated, and what was measured."""
    asked = [answer for answer in answers if not answer.problem]
    given = sum(bool(answer.label) for answer in asked)
    stated = f"at most {100 * measured['error']:g} % of pictures like the run's get a wrong answer"
    found = f"on its test part {_share(measured, 'wrong')} did, and {_share(measured, 'answered')} were answered"
    return f"answered {given:,} of {count(len(asked), 'picture')}; {stated}; {found}"


def _share(numbers: Mapping[str, Any], name: str) -> str:
    low, high = numbers[f"{name}_low"], numbers[f"{name}_high"]
    return f"{100 * numbers[name]:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"


def _interval(line: Any) -> str:
    return "" if line.accuracy is None else f"{line.accuracy:.1%} ({line.low:.1%} to {line.high:.1%})"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f} s"


def main() -> None:
    """The entry point: every way a command can end, and its exit code."""
    try:
        app()
    except FoveolaError as error:
        print(f"foveola: {workflows.printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == 130:
            print("foveola: interrupted; a run that had begun is left unfinished", file=sys.stderr)
        raise
