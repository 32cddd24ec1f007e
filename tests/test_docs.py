"""The docs: links lead somewhere, every command and every option of a recipe is written about, the examples are true."""

import dataclasses
import re
import sys
import types
from pathlib import Path

import pytest

import foveola as fv
from foveola import cli
from foveola.recipes.recipe import SPECS, options
from foveola.text import printable

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_within_the_project_lead_to_a_file(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def test_every_command_is_in_the_readme_or_the_docs():
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    names = [command.name or command.callback.__name__ for command in cli.app.registered_commands]
    assert len(names) == 15
    assert [name for name in names if f"foveola {name}" not in text] == []


@pytest.mark.parametrize("command", cli.app.registered_commands, ids=lambda c: c.name or c.callback.__name__)
def test_every_command_says_what_it_does(command):
    assert command.callback.__doc__.strip().endswith(".")


@pytest.mark.parametrize(("table", "spec"), SPECS.items())
def test_every_option_of_a_recipe_says_what_it_does(table, spec):
    told = {option.name for option in options() if option.text.endswith(".")}
    fields = {f"{table}.{field.name}" for field in dataclasses.fields(spec)} - {"model.options"}
    assert fields - told == set()


def test_the_page_about_recipes_has_the_table_of_foveola_list_options(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from build_docs import options_table

    assert options_table() in (ROOT / "docs" / "reference" / "recipe.md").read_text("utf-8")


def test_an_option_has_its_values_and_the_default_of_every_network():
    (found,) = [option for option in options() if option.name == "fit.batch_size"]
    assert found == (
        "fit.batch_size",
        "whole number from 1 to 1,000,000",
        "64; 32 for alexnet_mini, transfer, transfer_pair and timm; 250 for fast; 1,000 for fast_m and fast_l",
        "Number of images in a training step.",
    )


def test_every_public_name_has_a_docstring():
    plain = [
        name for name in fv.__all__ if name not in ("__version__", "MODELS", "DATASETS", "FILTERS", "EXPLANATIONS")
    ]
    assert [name for name in plain if not (getattr(fv, name).__doc__ or "").strip()] == []


def test_the_docs_name_no_path_of_a_machine():
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    assert re.findall(r"/(?:work|tmp|root|opt)/\S+", text) == []
    assert printable(text.replace("\n", "")) == text.replace("\n", "")


def test_commands_in_the_sites_tables_can_be_copied(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from build_docs import bars_in_tables

    assert bars_in_tables("| `blur\\|sharpen` |\n`a\\|b`") == "| `blur|sharpen` |\n`a\\|b`"


def test_a_link_to_nowhere_and_a_file_from_elsewhere_are_found(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from build_docs import broken_links

    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">b</a> <a href="c.html">c</a> <img src="https://x.org/y.png">'
    )
    (tmp_path / "b.html").write_text('<p id="there">')
    assert broken_links(tmp_path) == [
        "a.html loads https://x.org/y.png",
        "a.html links to b.html#here: the page has no such place",
        "a.html links to c.html, which is not there",
    ]


def test_examples_of_docstrings_are_code_on_the_site(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from docstring_examples import fenced

    first, second = ">>> 1 + 1\n2", ">>> for n in (1, 2):\n...     print(n)\n1\n2"
    assert fenced("Sums.") == "Sums."
    assert fenced(f"Sums.\n\n{first}") == f"Sums.\n\n```pycon\n{first}\n```"
    assert fenced(f"Sums.\n\n{first}\n{second}\n\nMore.") == f"Sums.\n\n```pycon\n{first}\n{second}\n```\n\nMore."
    assert fenced(f"{first}\n\n{second}\n\nMore.") == f"```pycon\n{first}\n\n{second}\n```\n\nMore."


def test_the_sites_examples_of_a_command_keep_their_lines(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from build_docs import examples_as_code

    assert examples_as_code("Text.\n\nfoveola runs\nfoveola runs here\n") == (
        "Text.\n\n    foveola runs\n    foveola runs here\n"
    )


def test_the_readme_of_the_package_has_no_link_that_leads_nowhere(monkeypatch):
    interface = types.ModuleType("hatchling.metadata.plugin.interface")
    interface.MetadataHookInterface = object  # hatchling is there only while a wheel is built
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    monkeypatch.syspath_prepend(ROOT)
    from hatch_build import without_relative_links

    shown = without_relative_links((ROOT / "README.md").read_text("utf-8"))
    assert [target for target in re.findall(r"\]\(([^)]+)\)", shown) if "://" not in target] == []
