"""Help: what `foveola` alone, `--help`, `-h` and `--version` print, at every width."""

import shlex
import sys

import pytest
import typer

import foveola as package
from foveola import cli
from foveola.cli.application import SECTIONS


def named(command):
    return command.name or command.callback.__name__


COMMANDS = {named(command): command for command in cli.app.registered_commands}


@pytest.fixture
def call(monkeypatch, capsys):
    """Call the entry point in this process at a width: gives exit code, stdout and stderr."""

    def run(*args, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["foveola", *args])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, *capsys.readouterr()

    return run


def test_foveola_alone_shows_the_help_and_is_no_mistake(call):
    code, out, err = call()
    assert (code, err) == (0, "")
    assert out == call("--help")[1] == call("-h")[1]


def test_the_commands_come_in_the_order_of_the_work(call):
    out = call()[1]
    places = [
        out.index(f"\n  {name} ") for name in ("demo", "train", "predict", "evaluate", "explain", "check", "compare")
    ]
    assert places == sorted(places)


def test_every_command_has_its_place_in_the_help(call):
    named_there = [name for names in SECTIONS.values() for name in names]
    assert sorted(named_there) == sorted(COMMANDS)
    assert all(f"\n  {name} " in call()[1] for name in COMMANDS)


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_no_line_of_the_help_is_longer_than_the_screen(call, columns):
    pages = [call(columns=columns)[1], *[call(name, "--help", columns=columns)[1] for name in ("train", "predict")]]
    for page in pages:
        told = page.partition("\nExamples:")[0]  # a command that is to be copied is not wrapped
        assert [line for line in told.splitlines() if len(line) > columns] == []


def test_the_list_of_commands_has_whole_sentences(call):
    out = " ".join(call()[1].split())
    sentences = [" ".join(command.callback.__doc__.split("\n\n")[0].split()) for command in COMMANDS.values()]
    assert [sentence for sentence in sentences if sentence not in out] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_h_and_shows_examples_that_can_be_parsed(call, name):
    code, out, _ = call(name, "-h")
    assert code == 0
    examples = [line.strip() for line in out.partition("\nExamples:\n")[2].splitlines()]
    assert examples
    assert [line for line in examples if len(line) > 78] == []
    parser = typer.main.get_command(cli.app)
    for example in examples:
        foveola, command, *args = shlex.split(example)
        assert (foveola, command) == ("foveola", name)
        parser.commands[command].make_context(command, args)


def test_version_is_the_packages(call):
    assert call("--version") == (0, f"foveola {package.__version__}\n", "")


def test_the_help_names_real_defaults(call):
    from foveola.models.registry import MODELS

    out = " ".join(call("train", "--help", columns=120)[1].split())
    assert "[default: the best of several candidates on held-out images]" in out
    assert set(out.split("The network: ")[1].split(". [default")[0].replace(" or ", ", ").split(", ")) == set(MODELS)
    assert "[default: 10; alexnet_mini: 2]" in " ".join(call("show", "--help")[1].split())
