import subprocess
import sys

import pytest

from foveola.errors import UsageError
from foveola.explanations import EXPLANATIONS
from foveola.models.registry import MODELS
from foveola.registry import Later, Registry, describe_source
from foveola.text import unknown

PLACES = {
    "model": [("models.course", "vgg6"), ("models.fast", "fast_l"), ("models.transfer", "transfer")],
    "method": [
        ("explanations.convolutions", "max_activating"),
        ("explanations.heatmaps", "gradcam"),
        ("explanations.convolutions", "one_pixel"),
    ],
}


@pytest.fixture
def fruit():
    return Registry("fruit", {"apple": 1, "pear": 2})


def test_an_unknown_name_gets_the_nearest_and_all_known(fruit):
    with pytest.raises(UsageError) as caught:
        fruit["peer"]
    assert str(caught.value) == "unknown fruit 'peer' (did you mean 'pear'?); known: apple, pear"


def test_a_far_name_gets_no_hint(fruit):
    with pytest.raises(UsageError) as caught:
        fruit["zzz"]
    assert str(caught.value) == "unknown fruit 'zzz'; known: apple, pear"


def test_an_empty_registry_says_none():
    with pytest.raises(UsageError) as caught:
        Registry("fruit", {})["fig"]
    assert str(caught.value) == "unknown fruit 'fig'; known: none"


def test_a_registered_thing_is_found_and_given_back(fruit):
    @fruit.register("fig")
    def fig():
        return 3

    assert fruit["fig"] is fig
    assert fig() == 3
    assert list(fruit) == ["apple", "pear", "fig"]
    assert len(fruit) == 3


def test_a_function_is_registered_under_its_own_name(fruit):
    @fruit.register
    def fig():
        return 3

    assert fruit["fig"] is fig
    assert fig() == 3


def test_a_thing_is_registered_in_one_call(fruit):
    assert fruit.register("fig", 3) == 3
    assert fruit["fig"] == 3


def test_a_name_that_is_no_text_is_refused(fruit):
    with pytest.raises(UsageError) as caught:
        fruit.register(7, 3)
    assert str(caught.value) == "a fruit is registered under a name, not under 7: give the name as text"
    assert list(fruit) == ["apple", "pear"]


def test_what_is_taken_out_is_gone_and_an_unknown_name_is_refused(fruit):
    fruit.unregister("pear")
    assert list(fruit) == ["apple"]
    with pytest.raises(UsageError):
        fruit.unregister("pear")


def test_a_taken_name_is_refused_and_the_first_stays(fruit):
    with pytest.raises(UsageError) as caught:
        fruit.register("pear")(9)
    assert str(caught.value) == "fruit 'pear' is registered already: choose another name"
    assert fruit["pear"] == 2


def test_asking_whether_a_name_is_there_raises_nothing(fruit):
    assert "apple" in fruit
    assert "fig" not in fruit
    assert fruit.get("fig") is None
    assert fruit.get("fig", 7) == 7
    assert fruit.get("apple") == 1


def test_what_a_module_holds_is_imported_when_it_is_asked_for():
    code = (
        "import sys; from foveola.registry import Later, Registry; words = Registry('word', {'wrap': Later('textwrap')}); "
        "assert 'wrap' in words and list(words) == ['wrap'] and 'textwrap' not in sys.modules; "
        "import textwrap as known; assert words['wrap'] is known.wrap and words.get('wrap') is known.wrap"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_refused_without_an_import():
    words = Registry("word", {"wrap": Later("there_is_no_such_module")})
    words.require("wrap")
    with pytest.raises(UsageError, match=r"^unknown word 'wrp' \(did you mean 'wrap'\?\); known: wrap$"):
        words.require("wrp")


@pytest.mark.parametrize("table", [MODELS, EXPLANATIONS])
def test_an_entry_is_described_before_its_import_as_after_it(table):
    described = [describe_source(f"foveola.{module}", name) for module, name in PLACES[table.kind]]
    imported = [table[name] and table.describe(name) for _, name in PLACES[table.kind]]
    assert [text for text, _ in described] == [text for text, _ in imported]
    for (_, before), (_, after) in zip(described, imported, strict=True):
        assert list(before) == list(after)
        assert {key: before[key] for key in before if key != "tick"} == {
            key: after[key] for key in after if key != "tick"
        }
        assert before.get("tick", "no_tick") == "no_tick"


def test_a_thing_without_a_signature_has_no_parameters():
    assert Registry("thing", {"seven": 7}).describe("seven").parameters == {}
    assert Registry("thing", {"type": type}).describe("type").parameters == {}


def test_later_changes_of_the_given_mapping_do_not_reach_the_registry():
    items = {"apple": 1}
    fruit = Registry("fruit", items)
    items["pear"] = 2
    assert "pear" not in fruit


@pytest.mark.parametrize(
    ("name", "hint"), [("Cat", " (did you mean 'cat'?)"), ("ant", ""), ("cats", " (did you mean 'cat'?)"), ("emu", "")]
)
def test_a_name_is_suggested_whatever_its_case_and_not_by_two_letters_of_three(name, hint):
    assert unknown("class", name, ["cat", "dog"]) == f"unknown class '{name}'{hint}; known: cat, dog"
