"""A recipe: all settings of a run except its seed, as a flat TOML file.

Each table is the spec of one room:


    title = "Faces, as the course trains it"
    [data]     size = "224x224", resize = "pad", chain = "sharpen"
    [split]    test_fraction = 0.2
    [model]    name = "alexnet_mini", and its options
    [fit]      epochs = 40, ...

foveola chooses missing settings when it knows the data (`recipes.defaults`). The run folder holds the completed recipe.
"""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

import tomli_w
from annotated_types import Ge, Le

from foveola.config import Meaning, allowed_values, build, check_options, format_value
from foveola.data.split import SplitSpec
from foveola.errors import UsageError
from foveola.evaluation.inputs import Views
from foveola.filters.chain import Chain
from foveola.imaging.resize import Resize
from foveola.models.registry import MODELS, get_model
from foveola.recipes.fit_settings import fit_settings, require_unmirrored
from foveola.storage import digest, require_ordinary
from foveola.text import joined, unknown
from foveola.training.config import FitSpec
from foveola.types import Size


@dataclass(frozen=True)
class DataSpec:
    """What to read and at which size. `foveola list options` prints what each option does."""

    source: Annotated[
        str,
        Meaning(
            "The data. DATA on the command line overrides it.", values="a folder, a file, or the name of a data set"
        ),
    ] = ""
    size: Annotated[
        str,
        Meaning(
            "Image size in pixels, 8 to 1024 per side.",
            values="WIDTHxHEIGHT or auto",
            left_out="a square of the median of the longer sides, rounded, 32 to 224 (256 for transfer and transfer_pair)",
        ),
    ] = "auto"
    resize: Annotated[
        Resize,
        Meaning(
            "How images are resized. pad: fill with black; crop: cut off the edges; stretch: change the proportions."
        ),
    ] = "pad"
    chain: Annotated[
        str,
        Meaning(
            'Filters that every image goes through, such as "blur(size=3)|sharpen" (see `foveola list filters`).',
            values="filters, joined by |",
        ),
    ] = ""
    labels: Annotated[
        str, Meaning("CSV table of files and labels, if the folders are not the classes.", values="a file")
    ] = ""
    label_pattern: Annotated[
        str,
        Meaning("Regular expression on the file path. Its first group is the class.", values="a regular expression"),
    ] = ""
    group_by: Annotated[
        str,
        Meaning(
            "Keep images of one group (a person, a plant, a video) in the same set.",
            values="a column of data.labels, or a regular expression on the file path",
        ),
    ] = ""
    class_level: Annotated[
        Annotated[int, Ge(1)] | Literal["", "leaf"],
        Meaning(
            "Level of the class folders: 1 for those directly in the data, 2 for those inside them; leaf: the deepest.",
            values="whole number above 0, or leaf",
            left_out="found from the folders",
        ),
    ] = ""
    exclude: Annotated[
        str, Meaning("Text file of images to leave out, as written by `foveola check --fix`.", values="a file")
    ] = ""


@dataclass(frozen=True)
class ModelSpec:
    """Which network, and the options of its factory. `foveola list options` prints what each option does."""

    name: Annotated[
        str,
        Meaning(
            "The network.",
            values="a name of `foveola list models`, or timm:NAME with the extra foveola[timm]",
            left_out="the best of several candidates; without any, fast for images below 112 pixels, else transfer",
        ),
    ] = "auto"
    weights: Annotated[
        str,
        Meaning(
            "Weights to start from: .safetensors of an architecture of timm, or a network that gives features (.onnx).",
            values="a file",
        ),
    ] = ""
    average_flips: Annotated[
        bool | Literal["auto"],
        Meaning(
            "Average predictions over an image and its mirror image. Takes twice the time.",
            left_out="true for fast, fast_m, fast_l, transfer and transfer_pair if they are trained with fit.flip",
        ),
    ] = "auto"
    average_shift_px: Annotated[
        Annotated[int, Ge(0), Le(8)] | Literal["auto"],
        Meaning(
            "Average predictions over an image and two copies, shifted by this many pixels both ways along a diagonal. "
            "Takes three times the time. 0: no shifts.",
            left_out="1 for fast_m and fast_l, else 0",
        ),
    ] = "auto"
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def starting(self) -> Mapping[str, object]:
        """The options of the factory for a training: with the file of weights. A trained network does not need it."""
        return {**self.options, "weights": self.weights} if self.weights else self.options


_OWN = ("name", "weights", "average_flips", "average_shift_px")


SPECS: Mapping[str, type] = {"data": DataSpec, "split": SplitSpec, "model": ModelSpec, "fit": FitSpec}
"""The tables of a recipe and what checks them."""


@dataclass(frozen=True)
class Recipe:
    """The specs of the rooms, composed. Its fingerprint leaves out the title, and where the data and the weights are."""

    title: str
    data: DataSpec
    split: SplitSpec
    model: ModelSpec
    fit: FitSpec

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what the recipe decides; the same text whatever the order of the file."""
        tables = self.tables()
        del tables["title"]
        tables["data"].pop("source", None)
        tables["model"].pop("weights", None)  # their digest is an option of the network
        return digest(tomli_w.dumps(_sorted(tables)))

    def tables(self) -> dict[str, Any]:
        """The recipe as nested tables, the model's options next to its name."""
        own = {key: getattr(self.model, key) for key in _OWN if key != "weights" or self.model.weights}
        model = {**own, **self.model.options}
        return {
            "title": self.title,
            "data": {k: v for k, v in asdict(self.data).items() if v != ""},
            "split": asdict(self.split),
            "model": model,
            "fit": asdict(self.fit),
        }

    @property
    def views(self) -> Views:
        """The views that the network of a completed recipe averages over."""
        shift_px = self.model.average_shift_px
        return Views(self.model.average_flips is True, 0 if shift_px == "auto" else shift_px)

    def to_toml(self) -> str:
        """The recipe as a file that `read_tables` and `compose` turn back into it."""
        return tomli_w.dumps(self.tables())


def parse_option(name: str) -> str:
    """Find the key of an option, such as "fit.momentum" for "momentum"; "" if there is none.

    >>> parse_option("momentum"), parse_option("test_fraction"), parse_option("momentun")
    ('fit.momentum', 'split.test_fraction', '')
    """
    return next((f"{key}.{name}" for key, spec in SPECS.items() if name in {one.name for one in fields(spec)}), "")


def read_tables(path: Path) -> dict[str, Any]:
    """Read the tables of a recipe file, unchecked. Raises UsageError if the file does not exist or is not TOML."""
    try:
        require_ordinary(path)
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no recipe {path}: check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the recipe {path} is not TOML: {error}") from None
    except OSError as error:
        raise UsageError(f"the recipe {path} can't be read: {(error.strerror or '').lower()}") from None


def read_recipe(path: Path) -> dict[str, Any]:
    """The tables of a recipe to be trained, unchecked: as `read_tables` gives them, with paths that lead somewhere.

    The relative paths of a run's recipe start in the folder where the run was started, if they still lead somewhere from
    there; those of other recipes start here, else in the recipe's own folder.
    """
    tables = read_tables(path)
    for name, key in (("data", "source"), ("data", "labels"), ("data", "exclude"), ("model", "weights")):
        table = tables.get(name)
        if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
            table[key] = _found(table[key], [*_begun(path), Path(), path.parent])
    return tables


def _found(name: str, starts: Sequence[Path]) -> str:
    """The path from the first folder where there is such a file or folder; as it is written where that is here."""
    there = next((start for start in starts if (start / name).exists()), Path())
    return name if there.absolute() == Path.cwd() else str(there / name)


def _begun(recipe: Path) -> list[Path]:
    """The folder in which the run of a recipe was started; none for a recipe that is no run's."""
    try:
        return [Path(str(json.loads((recipe.parent / "environment.json").read_text("utf-8"))["folder"]))]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def merge_tables(
    tables: Mapping[str, Any], settings: Mapping[str, object], *, where: str = "the recipe"
) -> dict[str, Any]:
    """The tables with dotted settings ("fit.epochs": 3) laid over them; None leaves a setting as it is."""
    out: dict[str, Any] = {key: dict(value) if isinstance(value, Mapping) else value for key, value in tables.items()}
    for key, value in settings.items():
        if value is None:
            continue
        table, dot, name = key.partition(".")
        if key == "title":
            out["title"] = value
        elif not dot or table not in SPECS:
            raise UsageError(f"unknown setting '{key}': write title, or data., split., model. or fit. and the option")
        elif not isinstance(out.setdefault(table, {}), dict):
            raise UsageError(f"{where}: {table} must be a table: write [{table}] above its options")
        else:
            out[table][name] = value
    return out


def recipe_from_tables(tables: Mapping[str, Any], *, where: str = "the recipe") -> Recipe:
    """Check all tables and make the recipe. Missing options keep "auto" or the network's default.

    Raises UsageError for unknown tables, options, models and wrong values.
    """
    known = ("title", *SPECS)
    for key, value in tables.items():
        if key not in known:
            raise UsageError(f"{where}: {unknown('table', key, known)}")
        if key != "title" and not isinstance(value, Mapping):
            raise UsageError(f"{where}: {key} must be a table: write [{key}] above its options")
    model = dict(tables.get("model", {}))
    own = {key: model.pop(key) for key in _OWN if key in model}
    name = build(ModelSpec, own, where=f"{where}, [model]").name
    if name != "auto":
        check_options(get_model(name), model, where=f"{where}, model {name}")
    data = build(DataSpec, tables.get("data", {}), where=f"{where}, [data]")
    if data.size != "auto":
        Size.parse(data.size)
    data = replace(data, chain=str(Chain.parse(data.chain)))
    fit = fit_settings(name, model, tables.get("fit", {}), where=where)
    if fit.finetune and name != "auto":
        model = {**MODELS.entry(name).finetune_options, **model}
    require_unmirrored(fit, own.get("average_flips"), where)
    return Recipe(
        title=str(tables.get("title", "")),
        data=data,
        split=build(SplitSpec, tables.get("split", {}), where=f"{where}, [split]"),
        model=build(ModelSpec, {**own, "options": model}, where=f"{where}, [model]"),
        fit=fit,
    )


def _sorted(value: Any) -> Any:
    return {key: _sorted(value[key]) for key in sorted(value)} if isinstance(value, dict) else value


class Option(NamedTuple):
    """One option of a recipe, as `--set` takes it."""

    name: str
    values: str
    default: str
    text: str


def options() -> Iterator[Option]:
    """All options of a recipe, in the order of its tables.

    >>> next(option for option in options() if option.name == "fit.cutout_px").values
    'whole number from 0 to 512'
    """
    yield Option("title", "text", "data and network", "Title of the run and its report.")
    for table, spec in SPECS.items():
        hints = get_type_hints(spec, include_extras=True)
        for one in fields(spec):
            hint = hints[one.name]
            meaning = _meaning(hint)
            if meaning is None:  # the options of the networks themselves: `foveola list models`
                continue
            default = meaning.left_out or _defaults(table, one.name, one.default)
            yield Option(f"{table}.{one.name}", meaning.values or allowed_values(hint), default, meaning.text)
    yield Option("model.*", "see `foveola list models`", "by network", "Options of the network itself, by their names.")


def _meaning(hint: Any) -> Meaning | None:
    return next((one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Meaning)), None)


def _defaults(table: str, name: str, default: object) -> str:
    """Describe the default, and the networks that have another default."""
    others = defaultdict(list)
    if table == "fit":
        for network, entry in MODELS.entries():
            if entry.fit.get(name, default) != default:
                others[entry.fit[name]].append(network)
    mine = "none" if default == "" else format_value(default)
    theirs = (f"{format_value(value)} for {joined(names)}" for value, names in others.items())
    return "; ".join([mine, *theirs])
