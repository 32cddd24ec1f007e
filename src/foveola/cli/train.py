"""Commands that train: train, demo and compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foveola import workflows
from foveola.cli.application import (
    DATA,
    CostFalseNegative,
    CostFalsePositive,
    GroupBy,
    Json,
    MinSensitivity,
    MinSpecificity,
    Open,
    Out,
    Reading,
    Seed,
    Settings,
    Threads,
    command,
    reads_data,
    settings_of,
)
from foveola.cli.output import open_page, print_json, print_line, print_run, print_table, progress_on_screen
from foveola.text import printable

if TYPE_CHECKING:
    from foveola.comparison.result import Comparison


@command(
    "foveola train photos",
    "foveola train photos --budget 5m",
    "foveola train photos --model transfer --epochs 5",
    "foveola train photos --folds 5",
    "foveola train photos --set fit.cutout_px=16",
    "foveola train scans --positive sick --min-sensitivity 0.95",
)
@reads_data
def train(
    data: Annotated[str | None, typer.Argument(metavar="DATA", help=DATA)] = None,
    *,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The network: fast, fast_m, fast_l, transfer, transfer_pair, alexnet_mini or vgg6. [default: the best "
            "of several candidates on held-out images]",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Your own weights to start from: .safetensors of an architecture of timm, or an .onnx network that gives "
            "features.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of passes over the training images. [default: 8 to 40, fewer for more images; 0 for transfer and "
            "transfer_pair, which then train only their last layer]",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Image size in pixels. [default: a square of the images' typical longer side, 32 to 224; 256 for "
            "transfer and transfer_pair]",
        ),
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option(
            metavar="FILTERS", help='Filters for all images, e.g. "blur(size=3)|sharpen". See `foveola list filters`.'
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Time limit for the whole command, e.g. 5m. foveola chooses the network and the epochs to use it.",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Cross-validation for small data: test every image once, with K networks. The run's network then trains on "
            "all images.",
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(metavar="R", help="Number of cross-validations, each with other folds. [default: 1]"),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recipe file (TOML). Command-line options override it.")
    ] = None,
    seed: Seed = 0,
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of images in a training step. [default: depends on the network]"),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(metavar="RATE", help="Highest learning rate. [default: depends on the network]"),
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Also train on mirrored images (left and right swapped). [default: yes, except for digits]",
        ),
    ] = None,
    finetune: Annotated[
        bool | None,
        typer.Option(
            "--finetune",
            help="Also train the last stages of a pre-trained network, and keep them if they are better on val.",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            help="Random changes of training images: none, photo, flat (no up or down) or text. [default: by network]",
        ),
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Weights of the classes in the loss. none: all images count the same; balanced: all classes count the same. "
            "[default: none]",
        ),
    ] = None,
    reading: Reading,
    group_by: GroupBy = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where to compute: auto, cpu, cuda, cuda:N or mps. [default: auto]"),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Number format: auto, float32 or bfloat16. [default: auto]")
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Choose a threshold for this class. predict then predicts it if its probability reaches the threshold.",
        ),
    ] = None,
    min_sensitivity: MinSensitivity = None,
    min_specificity: MinSpecificity = None,
    cost_false_positive: CostFalsePositive = None,
    cost_false_negative: CostFalseNegative = None,
    set_: Settings = None,
    threads: Threads = None,
    out: Out = None,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for all runs.")] = Path("runs"),
    open_: Open = False,
    json_: Json = False,
) -> None:
    """Train an image classifier, measure it on images it was not trained on, and write a report.

    The result is a run: a folder that holds the network, its numbers and report.html.
    """
    settings: dict[str, object] = {
        "fit.batch_size": batch_size,
        "fit.lr_peak": lr,
        "fit.flip": flip,
        "fit.class_weights": class_weights,
        "fit.augment": augment,
        "fit.finetune": finetune or None,
        "fit.device": device,
        "fit.precision": precision,
        "data.group_by": group_by,
        **reading,
        **settings_of(set_),
    }
    with progress_on_screen() as screen:
        run = workflows.train(
            data, model=model, weights=weights, epochs=epochs, size=size, chain=chain, budget=budget, folds=folds,
            repeats=repeats, seed=seed, recipe=recipe, positive=positive, min_sensitivity=min_sensitivity,
            min_specificity=min_specificity, cost_false_positive=cost_false_positive,
            cost_false_negative=cost_false_negative, settings=settings, out=out, runs=runs, threads=threads, progress=screen,
        )  # fmt: skip
    print_run(run, json_, open_)


@command("foveola demo", "foveola demo my-folder --epochs 3")
def demo(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder for the images and the run.")] = Path("demo"),
    epochs: Annotated[int, typer.Option(metavar="N", help="Number of passes over the training images.")] = 12,
    seed: Seed = 0,
    threads: Threads = None,
    out: Out = None,
    open_: Open = False,
    json_: Json = False,
) -> None:
    """Try foveola: train on the 1,797 handwritten digits that come with it, and write a report."""
    with progress_on_screen() as screen:
        run = workflows.demo(folder, epochs=epochs, seed=seed, out=out, threads=threads, progress=screen)
    print_run(run, json_, open_)


@command(
    'foveola compare photos --arm plain --arm "sharpened: chain=sharpen"',
    "foveola compare pets --arm a:model=fast --arm b:model=fast_m --question model",
    "foveola compare photos a.toml b.toml --seeds 5 --budget 30m",
)
@reads_data
def compare(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA] [RECIPE.toml]...", help="The data set, as for `foveola train`, and recipes to compare."
        ),
    ] = None,
    *,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARM",
            help='Settings to compare: "plain", or "sharpened: chain=sharpen". Give two or more. The first is the baseline.',
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(metavar="SEEDS", help="Number of seeds (from 0), a range such as 0-9, or a list such as 1,4,7."),
    ] = "10",
    model: Annotated[str | None, typer.Option(metavar="NAME", help="The network of all arms.")] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Number of epochs of all arms.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Image size of all arms, in pixels.")] = None,
    reading: Reading,
    group_by: GroupBy = None,
    question: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="The setting in which the recipes differ on purpose, e.g. chain or fit.lr_peak."
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="Allow the arms to differ in this setting, too. The result then has a warning."
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option(metavar="POINTS", help="The smallest difference that matters, in percentage points.")
    ] = 0.5,
    half_width: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Desired half-width of the interval. After two seeds, foveola prints how many are needed.",
        ),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time limit for the whole command, e.g. 30m.")
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Number of runs that train at the same time. [default: up to 4, fewer on fewer cores]",
            show_default=False,
        ),
    ] = 0,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of threads of each run. [default: one for every four cores]"),
    ] = None,
    set_: Settings = None,
    runs: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for all runs. Finished runs in it are not trained again.")
    ] = Path("runs"),
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for the page. [default: RUNS/comparisons/NAME]")
    ] = None,
    open_: Open = False,
    json_: Json = False,
) -> None:
    """Compare settings over several seeds and report whether the difference is real.

    An arm is one of the settings that you compare. All arms are trained with the same seeds and differ in one thing only.
    """
    common = {
        "model.name": model,
        "fit.epochs": epochs,
        "data.size": size,
        "data.group_by": group_by,
        **reading,
        **settings_of(set_),
    }
    data, recipes = workflows.data_and_recipes(given or [])
    with progress_on_screen(lines=False) as screen:
        found = workflows.compare(
            data, [*recipes, *(arm or [])], seeds=seeds,
            settings={key: value for key, value in common.items() if value is not None}, question=question or (),
            allow=allow or (), margin=margin, half_width=half_width, budget=budget, runs=runs, out=out, jobs=jobs,
            threads=threads, progress=screen,
        )  # fmt: skip
    if json_:
        print_json(found.to_json())
    else:
        _print_comparison(found)
    if open_:
        open_page(found.page)


def _print_comparison(found: Comparison) -> None:
    for warning in found.warnings:
        print_line(f"warning: {warning}", severity="warning")
    print_table(
        ("arm", "mean accuracy", f"{100 * found.level:.0f} % interval", "lowest to highest", "per run", "seeds"),
        [_arm_row(found, k) for k in range(len(found.arms))],
        spare=("lowest to highest", "per run", "seeds"),
    )
    for k, one in enumerate(found.against_baseline()):
        print_line(one.sentence)
        for line in found.changes_in_words(k + 1):
            print_line(f"    {line}")
    print_line(f"page    {printable(str(found.page))}")


def _arm_row(found: Comparison, k: int) -> tuple[str, ...]:
    row, interval = 100 * found.accuracy[k], found.intervals[k]
    known = f"{100 * interval.low:.2f} to {100 * interval.high:.2f} %"
    numbers = (f"{row.mean():.2f} %", known, f"{row.min():.2f} to {row.max():.2f} %")
    return found.arms[k].name, *numbers, f"{found.seconds(k):.0f} s", str(len(row))
