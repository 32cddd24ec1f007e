"""Commands without a run: check, show-data, filter, show, list, course."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from foveola import workflows
from foveola.cli.application import DATA, Json, Open, Overwrite, Reading, Settings, command, reads_data, settings_of
from foveola.cli.output import (
    as_typed,
    open_page,
    print_json,
    print_line,
    print_notes,
    print_problems,
    print_table,
    progress_on_screen,
)
from foveola.errors import UsageError
from foveola.text import count, printable


@command("foveola check photos", "foveola check photos --fix leave-out.txt")
@reads_data
def check(
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File for the page. [default: check.html, or check-2.html and so on if it exists]"
        ),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a list of images to leave out, for `foveola train --exclude`."),
    ] = None,
    suspects: Annotated[
        bool | None,
        typer.Option(help="Look for wrong labels. [default: only if it takes about a minute or less]"),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Look for wrong labels with the predictions of this run (`train --folds`)."),
    ] = None,
    reading: Reading,
    set_: Settings = None,
    overwrite: Overwrite = False,
    open_: Open = False,
    json_: Json = False,
) -> None:
    """Find problems in a data set: damaged files, duplicates, leaks, shortcuts and wrong labels.

    foveola changes and deletes no images.
    """
    settings = {**reading, **settings_of(set_)}
    workflows.require_outputs(out, fix, overwrite=overwrite)
    if out is None:
        workflows.require_writable(Path(workflows.PAGE))
    with progress_on_screen() as screen:
        found = workflows.check(data, settings=settings, suspects=suspects, run=run, progress=screen)

    def write() -> None:
        found.write_page(out, overwrite=overwrite)
        if fix is not None:
            found.write_list(fix, overwrite=overwrite)

    with (
        contextlib.ExitStack() as every
    ):  # print findings even if the page can't be written, and write the page even if the pipe is closed
        if json_:
            every.callback(lambda: print_json(found.to_json()))
        every.callback(write)
        if not json_:
            _print_findings(found)
    if not json_:
        print_line(f"page     {printable(str(found.page))}", 9)
        if fix is not None:
            print_line(f"list     {_list_in_words(found, fix)}", 9)
    if open_:
        open_page(found.page)


def _print_findings(found: workflows.Checked) -> None:
    print_line(printable(found.headline))
    for finding in found.findings:
        print_line(f"{finding.severity + ':':8} {finding.message}", 9, severity=finding.severity)
        print_line(f"         {finding.advice}", 9)
    for remark in found.remarks:
        print_line(f"note:    {remark}", 9, severity="note")


def _list_in_words(found: workflows.Checked, fix: Path) -> str:
    """Describe the list that `--fix` wrote, and the next command."""
    named = len({name for finding in found.findings for name in finding.leave_out})
    path = printable(str(fix))
    if named:
        return f"{path} lists {count(named, 'image')}: read it, then foveola train DATA --exclude {as_typed(str(fix))}"
    doubtful = any(finding.kind == "suspect_label" for finding in found.findings)
    return f"{path} lists no image to leave out" + (", only labels to check, as comments" if doubtful else "")


@command("foveola show-data photos figures", name="show-data")
@reads_data
def show_data(
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the figures.")],
    *,
    n: Annotated[int, typer.Option("--n", metavar="N", help="Number of images of each class.")] = 6,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Image size in pixels. [default: a square of the images' typical longer side, 32 to 256]",
        ),
    ] = None,
    chain: Annotated[
        str,
        typer.Option(metavar="FILTERS", help="Also draw images before and after these filters.", show_default=False),
    ] = "",
    reading: Reading,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Draw a data set: class counts, image sizes, samples, mean images and colours."""
    with progress_on_screen() as screen:
        found = workflows.show_data(
            data,
            out,
            n=n,
            size=size,
            chain=chain,
            settings=reading,
            overwrite=overwrite,
            progress=screen,
        )
    print_notes(found.notes)
    if json_:
        print_json(found.to_json())
        return
    for path in found.written:
        print_line(f"wrote {path}")


@command(
    'foveola filter photo.jpg edges.png --chain "canny(low=50, high=150)"',
    'foveola filter photo.jpg steps.png --chain "blur(size=3)|sharpen" --steps',
    "foveola filter photos sharpened --chain sharpen",
)
def filter(
    source: Annotated[Path, typer.Argument(metavar="IN", help="An image, or a folder of images.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File for the result (.png or .jpg), or a folder.")],
    chain: Annotated[
        str,
        typer.Option(metavar="FILTERS", help='The filters, e.g. "blur(size=3)|sharpen". See `foveola list filters`.'),
    ],
    steps: Annotated[bool, typer.Option("--steps", help="Draw a figure with the image after each filter.")] = False,
    kernel_view: Annotated[
        bool, typer.Option("--kernel-view", help="Draw a figure with the numbers and the effect of each kernel.")
    ] = False,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Apply image filters: blur, sharpen, edges and your own kernels."""
    if steps and kernel_view:
        raise UsageError("--steps and --kernel-view draw different figures: give only one of them")
    with progress_on_screen() as screen:
        found = workflows.filter(
            source,
            out,
            chain,
            drawing="steps" if steps else "kernel-view" if kernel_view else None,
            overwrite=overwrite,
            progress=screen,
        )
    if json_:
        print_json(found.to_json())
    else:
        print_problems(found.problems, len(found.written) + len(found.problems))
        for note in found.notes:
            print_line(f"note: {note}")
        print_line(f"{count(len(found.written), 'image')} in {out}" if source.is_dir() else f"wrote {out}")
    if not found.written:
        raise typer.Exit(3)


@command("foveola show fast", "foveola show alexnet_mini --size 224x224 --classes 2")
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a network. See `foveola list models`.")],
    size: Annotated[
        str,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Image size in pixels. [default: 32x32; alexnet_mini: 224x224]",
            show_default=False,
        ),
    ] = "",
    classes: Annotated[
        int, typer.Option(metavar="N", help="Number of classes. [default: 10; alexnet_mini: 2]", show_default=False)
    ] = 0,
    set_: Settings = None,
    json_: Json = False,
) -> None:
    """Print the layers of a network with their output shapes and parameters."""
    options = {key.removeprefix("model."): value for key, value in settings_of(set_).items()}
    found = workflows.show(model, size or None, classes or None, options)
    if json_:
        print_json(found.to_json())
        return
    print_line(f"{model}, images of {found.size}, {count(found.classes, 'class', 'classes')}")
    print_table(
        ("layer", "kind", "output shape", "parameters"),
        [(r.name, r.kind, " x ".join(map(str, r.shape)), f"{r.parameters:,}") for r in found.rows],
        spare=("kind", "output shape"),
    )
    print_line(f"parameters     {found.parameters:,}")
    print_line(f"trainable      {found.trainable:,}")
    print_line(f"not trainable  {found.parameters - found.trainable:,}")


@command("foveola list models", "foveola list options", name="list")
def list_(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="What to list: models, datasets, filters, explanations or options.")
    ] = "models",
    json_: Json = False,
) -> None:
    """List the networks, data sets, filters, explanations, or the options for `--set`."""
    entries = workflows.catalog(kind)
    if json_:
        print_json(entries.to_json())
        return
    for entry in entries:
        if kind == "filters":  # written as in a chain
            print_line(entry.signature if entry.options else entry.name)
            print_line(f"    {entry.text}", 4)
            continue
        print_line(f"{entry.name}: {entry.text}", 4)
        for option in entry.options:
            print_line(f"    {option}", 8)


@command("foveola course my-course")
def course(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder for the notebooks. It must not exist.")
    ] = Path("course"),
    json_: Json = False,
) -> None:
    """Write the course: six Jupyter notebooks, example recipes and the documentation."""
    written = workflows.write_course(folder)
    if json_:
        print_json(written.to_json())
        return
    for path in written.notebooks:
        print_line(f"wrote {printable(str(path))}")
    print_line(f"wrote {printable(str(folder / 'examples'))} and {printable(str(folder / 'docs'))}")
    print_line("next  pip install jupyterlab")
    print_line(f"      jupyter lab {as_typed(str(folder))}")
