"""Commands without a run: check, show-data, filter, show, list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foveola import workflows
from foveola.cli.printing import print_json, say, say_problems, table
from foveola.cli.words import Json, Settings, app, settings_of
from foveola.errors import UsageError, count
from foveola.types import Size


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="A folder of class folders, an .npz file, cifar10 or digits.")],
    out: Annotated[Path, typer.Option(help="The page with thumbnails; an older one is replaced.")] = Path("check.html"),
    fix: Annotated[
        Path | None, typer.Option(help="Write a list of what could be left out, for `foveola train --exclude`.")
    ] = None,
    suspects: Annotated[bool | None, typer.Option(help="Doubt labels. [default: if it takes about a minute]")] = None,
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
        **settings_of(set_),
    }
    with Screen() as screen:
        found = workflows.check(data, settings=settings, suspects=suspects, out=out, fix=fix, tick=screen.tick)
    if json_:
        print_json(found.to_json())
        return
    say(workflows.printable(found.headline))
    for finding in found.findings:
        say(f"{finding.severity + ':':8} {finding.message}")
        say(f"         {finding.advice}")
    for remark in found.remarks:
        say(f"note:    {remark}")
    say(f"page     {out}")
    if fix is not None:
        say(f"list     {fix}: read it, then foveola train DATA --exclude {fix}")


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
        print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        say(f"wrote {path}")


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
    from foveola.screen import Screen

    if steps and kernel_view:
        raise UsageError("--steps and --kernel-view are two figures: ask for one at a time")
    with Screen() as screen:
        found = workflows.filter(
            source, out, chain, drawing="steps" if steps else "kernel-view" if kernel_view else None, tick=screen.tick
        )
    if json_:
        problems = [{"file": file, "reason": reason} for file, reason in found.problems]
        print_json({"written": [str(path) for path in found.written], "problems": problems})
    else:
        say_problems(found.problems, len(found.written) + len(found.problems))
        say(f"{count(len(found.written), 'picture')} in {out}" if source.is_dir() else f"wrote {out}")
    if not found.written:
        raise typer.Exit(3)


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
    options = {key.removeprefix("model."): value for key, value in settings_of(set_).items()}
    found = workflows.show(model, shape, classes or default_classes, options)
    if json_:
        rows = [
            {"layer": r.name, "kind": r.kind, "output_shape": list(r.shape), "parameters": r.parameters}
            for r in found.rows
        ]
        print_json({
            "model": model, "size": str(shape), "classes": classes or default_classes, "layers": rows,
            "parameters": found.parameters, "trainable": found.trainable,
        })  # fmt: skip
        return
    say(f"{model}, pictures of {shape}, {count(classes or default_classes, 'class', 'classes')}")
    table(
        ("layer", "kind", "output shape", "parameters"),
        [(r.name, r.kind, " x ".join(map(str, r.shape)), f"{r.parameters:,}") for r in found.rows],
    )
    say(f"parameters     {found.parameters:,}")
    say(f"trainable      {found.trainable:,}")
    say(f"not trainable  {found.parameters - found.trainable:,}")


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="models, datasets, filters or explanations.")] = "models",
    json_: Json = False,
) -> None:
    """List the networks, data sets, filters or explanations that are known by name."""
    entries = workflows.listing(kind)
    if json_:
        print_json({kind: [{"name": e.name, "options": list(e.options), "text": e.text} for e in entries]})
        return
    for entry in entries:
        if kind == "filters":  # written as in a chain
            say(f"{entry.signature if entry.options else entry.name}\n    {entry.text}")
            continue
        say(f"{entry.name}: {entry.text}")
        for option in entry.options:
            say(f"    {option}")
