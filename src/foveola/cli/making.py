"""Commands that make a run: train, demo; and compare, which makes many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveola import workflows
from foveola.cli.printing import print_json, print_run, say, table
from foveola.cli.words import Json, Out, Seed, Settings, app, settings_of

if TYPE_CHECKING:
    from foveola.lab.comparison import Comparison


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
        **settings_of(set_),
    }
    with Screen() as screen:
        run = workflows.train(
            data, model=model, epochs=epochs, size=size, chain=chain, budget=budget, seed=seed, recipe=recipe,
            settings=settings, out=out, runs=runs, watch=screen.watch,
        )  # fmt: skip
    print_run(run, json_)


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
    print_run(run, json_)


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
    jobs: Annotated[
        int, typer.Option(help="How many runs side by side. [default: two, where that pays]", show_default=False)
    ] = 0,
    set_: Settings = None,
    runs: Annotated[Path, typer.Option(help="Where run folders go, and are looked for.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="The folder of the page. [default: one below RUNS]")] = None,
    json_: Json = False,
) -> None:
    """Does it help, or was it luck? Train arms that differ in one thing, over the same seeds, and say what was shown."""
    from foveola.screen import Screen

    common = {"model.name": model, "fit.epochs": epochs, "data.size": size, **settings_of(set_)}
    data, recipes = workflows.data_and_recipes(given or [])
    with Screen() as screen:
        found = workflows.compare(
            data, [*recipes, *(arm or [])], seeds=seeds,
            settings={key: value for key, value in common.items() if value is not None}, question=question or (),
            allow=allow or (), margin=margin, precision=precision, budget=budget, runs=runs, out=out, jobs=jobs,
            tell=lambda line: screen.tell(workflows.printable(line)), tick=screen.bar, progress=screen.runs,
        )  # fmt: skip
    if json_:
        print_json({"page": str(found.page), **found.to_json()})
    else:
        _print_comparison(found)


def _print_comparison(found: Comparison) -> None:
    for warning in found.warnings:
        say(f"warning: {warning}")
    table(
        ("arm", "mean accuracy", f"{100 * found.level:.0f} % interval", "least to greatest", "a run", "seeds"),
        [_arm_row(found, k) for k in range(len(found.arms))],
    )
    for k, one in enumerate(found.against_baseline()):
        say(one.sentence)
        for line in found.changes_in_words(k + 1):
            say(f"    {line}")
    say(f"page    {workflows.printable(str(found.page))}")


def _arm_row(found: Comparison, k: int) -> tuple[str, ...]:
    row, interval = 100 * found.accuracy[k], found.intervals[k]
    known = f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %"
    numbers = (f"{row.mean():.2f} %", known, f"{row.min():.2f} to {row.max():.2f} %")
    return found.arms[k].name, *numbers, f"{found.seconds(k):.0f} s", str(len(row))
