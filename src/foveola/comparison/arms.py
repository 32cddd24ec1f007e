"""Arms of a comparison: parse their settings, and check that they differ only in the question."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from foveola.config import parse_setting
from foveola.data.split import SplitSpec
from foveola.errors import UsageError
from foveola.recipes.recipe import DataSpec, ModelSpec, Recipe
from foveola.text import unknown
from foveola.training.config import FitSpec

SHORT = {
    "chain": "data.chain",
    "size": "data.size",
    "resize": "data.resize",
    "model": "model.name",
    "weights": "model.weights",
    "epochs": "fit.epochs",
}
"""Settings that need no table name."""

TABLES = ("data", "split", "model", "fit")

WHERE_FROM = ("data.labels", "data.label_pattern", "data.group_by", "data.class_level")
"""Settings that select the images: arms that differ in them have different data."""


@dataclass(frozen=True)
class Arm:
    """One arm of a comparison: its name and its settings (dotted names), or a recipe file."""

    name: str
    settings: Mapping[str, object]
    recipe: Path | None = None


class Change(NamedTuple):
    """A setting in which an arm differs from the baseline; None: absent or empty."""

    setting: str
    baseline: object
    arm: object


class AllowedDifferences(NamedTuple):
    """Settings that differ between arms: those of the question, and others that the user allowed."""

    question: tuple[str, ...]
    allowed: tuple[str, ...]


def parse_arm(text: str) -> Arm:
    """Read "sharpened: chain=sharpen; fit.epochs=4", or "sharpened.toml", a recipe; a name alone changes nothing.

    >>> parse_arm("blurred: chain=blur(size=3)|sharpen").settings
    {'data.chain': 'blur(size=3)|sharpen'}
    >>> parse_arm("plain").settings, parse_arm("recipes/fast.toml").name
    ({}, 'fast')
    """
    if text.endswith(".toml") and "=" not in text:
        return Arm(Path(text).stem, {}, Path(text))
    name, colon, rest = text.partition(":")
    name = name.strip()
    if not name or "=" in name:
        raise UsageError(f"arm '{text}' has no name: write, for example, sharpened: chain=sharpen")
    settings = dict(parse_setting(part) for part in filter(None, (piece.strip() for piece in rest.split(";"))))
    if colon and not settings:
        raise UsageError(f"arm '{text}' has no setting after the colon: write, for example, sharpened: chain=sharpen")
    return Arm(name, {SHORT.get(key, key): value for key, value in settings.items()})


def require_arms(arms: Sequence[Arm]) -> None:
    """Refuse one arm, and two of the same name. Raises UsageError."""
    if len(arms) < 2:
        raise UsageError(
            f"a comparison needs at least two arms, such as --arm plain --arm 'x: chain=sharpen'; got {len(arms)}"
        )
    names = [arm.name for arm in arms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two arms are called '{twice}': give each arm a different name")


def require_fair(
    arms: Sequence[Arm], recipes: Sequence[Recipe], question: Sequence[str], allowed: Sequence[str]
) -> AllowedDifferences:
    """Check that the arms differ only in the question and in allowed settings; return both.

    question: the settings that may differ ("chain", "fit.epochs", or a whole table: "model"); empty: what the arms
    themselves name, or the one setting in which recipes differ. Raises UsageError for two equal arms, for different
    data, and for differences that are neither the question nor allowed.
    """
    names, prints = [arm.name for arm in arms], [recipe.fingerprint for recipe in recipes]
    for k, one in enumerate(prints):
        if one in prints[:k]:
            raise UsageError(
                f"arms '{names[prints.index(one)]}' and '{names[k]}' have the same settings: change one of them, for example "
                f"'{names[k]}: chain=sharpen'"
            )
    found = differences(recipes)
    for key in found:
        if key in WHERE_FROM:
            raise UsageError(f"the arms differ in {key}, so their data differs: give all arms the same {key}")
    asked = _known(question, recipes, "question") or {key for arm in arms for key in arm.settings}
    if not asked:
        if len(found) > 1:
            raise UsageError(
                f"the recipes differ in {', '.join(found)}, and a comparison asks about one setting: name it, such as "
                f"--question {found[0]}, and make the others equal or permit them with --allow"
            )
        asked = set(found)
    if "model.name" in asked:
        asked.add("model")  # another network has other options
    if "model.weights" in asked:
        asked.update(("model", "data.size"))  # a file names its network and the size of its images
    if question and not any(_names(asked, key) for key in found):
        raise UsageError(
            f"all arms have the same {', '.join(sorted(asked))}, so there is nothing to compare: change it in one arm, or "
            f"use --question {', '.join(found)}"
        )
    extra = [key for key in found if not _names(asked, key)]
    passes = _known(allowed, recipes, "allow")
    refused = [key for key in extra if not _names(passes, key)]
    if refused:
        raise UsageError(
            f"the arms also differ in {', '.join(refused)}, but the question is {', '.join(sorted(asked))}: make them "
            f"equal, or permit it with {' '.join(f'--allow {key}' for key in refused)}"
        )
    return AllowedDifferences(tuple(key for key in found if key not in extra), tuple(extra))


def differences(recipes: Sequence[Recipe]) -> list[str]:
    """The dotted settings in which recipes differ, in the recipe's order; title and the data's place are none."""
    flat = [_flat(recipe) for recipe in recipes]
    keys = dict.fromkeys(key for one in flat for key in one)
    found = [key for key in keys if any(one.get(key) != flat[0].get(key) for one in flat[1:])]
    return sorted(found, key=lambda key: TABLES.index(key.partition(".")[0]))


def changes(baseline: Recipe, arm: Recipe) -> list[Change]:
    """List the settings in which an arm differs from the baseline."""
    one, other = _flat(baseline), _flat(arm)
    return [Change(key, one.get(key), other.get(key)) for key in differences([baseline, arm])]


def _flat(recipe: Recipe) -> dict[str, Any]:
    tables = recipe.tables()
    out = {f"{name}.{key}": value for name, table in tables.items() if name != "title" for key, value in table.items()}
    out.pop("data.source", None)
    return out


def _names(asked: Collection[str], key: str) -> bool:
    return key in asked or key.partition(".")[0] in asked


def _known(names: Sequence[str], recipes: Sequence[Recipe], option: str) -> set[str]:
    """The names in full. Raises UsageError for one that no recipe can have."""
    tables = {"data": DataSpec, "split": SplitSpec, "model": ModelSpec, "fit": FitSpec}
    known = {f"{table}.{field.name}" for table, spec in tables.items() for field in fields(spec)}
    known |= {key for recipe in recipes for key in _flat(recipe)} | set(tables)
    full = {name if name == "model" else SHORT.get(name, name) for name in names}
    for name in sorted(full - known):
        raise UsageError(f"--{option} {name}: {unknown('setting', name, known - {'model.options'})}")
    return full
