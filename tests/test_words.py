"""README, docs, recipes and what src prints use plain words and short sentences; only the results page names commits."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "benchmarks" / "README.md",
    ROOT / "kernels" / "README.md",
    *sorted(set(ROOT.glob("docs/**/*.md")) - {ARCHITECTURE}),
]
RECIPES = sorted((ROOT / "examples").glob("*.toml"))
MOST_WORDS = 25
ROOMS = [
    "checks",
    "cli",
    "comparison",
    "compute",
    "data",
    "evaluation",
    "explanations",
    "figures",
    "filters",
    "imaging",
    "models",
    "recipes",
    "report",
    "runs",
    "training",
    "workflows",
]
"""The rooms of src/foveola whose strings a user reads in plain words."""
SOURCES = sorted(file for room in ROOMS for file in (ROOT / "src" / "foveola" / room).rglob("*.py"))

AVOIDED = {
    "again": ("anew",),
    "next to": ("beside", "side by side with"),
    "instead of": ("in place of", "in its place", "in their place"),
    "exactly": ("to the last bit", "to the last digit", "to the last pixel", "last bits"),
    "so that ... not": ("lest",),
    "nothing": ("naught", "nought"),
    "a number": ("so many",),
    "of it, where, by which": ("thereof", "whither", "thither", "wherein", "whereby", "thereby", "hereby"),
    "whether it is": ("be it",),
    "the actor: foveola prints, the report shows": ("is told", "are told", "is said", "are said", "was said"),
    "no one, or the actor": ("nobody",),
    "a separate one, its own": ("of its own", "of their own", "of one's own"),
    "label errors": ("doubted", "doubts", "label doubts"),
    "derived files": ("twin", "twins"),
    "near-duplicates": ("near-copy", "near-copies"),
    "training, validation or test set": (
        "train part",
        "training part",
        "val part",
        "validation part",
        "test part",
        "same part",
        "own parts",
    ),
    "neither ... or": ("nor",),
    "on": ("upon",),
    "also": ("likewise",),
    "is in": ("lies in", "lie in", "lies directly in", "lie directly in"),
    "a random split": ("split image by image", "naive split"),
    "uncertain, wrong": ("doubtful",),
    "images": ("picture", "pictures"),
    "predictions": ("always answering", "right answers", "wrong answers", "right prediction", "right predictions"),
    "one per line": ("one a line", "one an image", "a line each"),
    "test-set uses": ("openings", "opening of test", "openings of test"),
    "must be X": ("is no comparison", "that is no"),
    "as before": ("as ever", "no longer so"),
    "unknown name": ("a stranger",),
}
"""What to write -> the words it replaces."""


def prose(text):
    """Markdown without code, comments, tables made from the code, quoted text and the targets of links.

    >>> prose("See [how](how-to/a.md): `x = 1` prints \\"so many\\".")
    'See how: CODE prints QUOTE.'
    """
    text = re.sub(r"^```.*?^```\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!-- options:.*?<!-- /options -->", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"`[^`\n]+(\n[^`\n]+)?`", "CODE", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r'"[^"]{1,200}"', "QUOTE", text).replace("**", "")


def avoided_words(text):
    """(word, what to write instead) of each word in a Markdown text that plain English does without.

    >>> avoided_words("It stands *beside* the page.\\nSo\\nmany of them.")
    [('beside', 'next to'), ('so many', 'a number')]
    """
    plain = re.sub(r"[\s*_]+", " ", prose(text)).lower()
    return [(word, instead) for instead, words in AVOIDED.items() for word in words if re.search(rf"\b{word}\b", plain)]


def texts(source):
    """The string constants of Python code that hold a space, without docstrings and examples: what a user may read.

    An expression in an f-string becomes X.

    >>> texts("def f():\\n    'Of so many.'\\n    raise Error(f'{n} pictures ' 'beside', help='one word', name='beside')")
    ['X pictures beside', 'one word']
    """
    tree = ast.parse(source)
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (statements | parts):
            found.append(node.value)
    return [text for text in found if " " in text]


def sentences(text):
    """The sentences of a Markdown text: paragraphs and list items, without headings and tables.

    >>> sentences("# Title\\n\\nOne, e.g. this. foveola\\nruns: \\n\\n- **An item.** More\\n- Another\\n\\n| a | b |\\n")
    ['One, e.g. this.', 'foveola runs:', 'An item.', 'More', 'Another']
    """
    lines = [line for line in prose(text).split("\n") if not re.match(r"#|\s*\|", line)]
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", "\n".join(lines))
    joined = (re.sub(r"^\s*(?:[-*]|\d+\.) ", "", " ".join(block.split())) for block in blocks)
    ends = r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.) (?=\W*(?:[A-Z0-9]|foveola))"
    return [sentence for block in joined for sentence in re.split(ends, block) if sentence]


def too_long(text):
    """The sentences of more than 25 words.

    >>> too_long("Short. " + "Word " * 26 + "end.") == ["Word " * 26 + "end."]
    True
    """
    return [sentence for sentence in sentences(text) if len(sentence.split()) > MOST_WORDS]


@pytest.mark.parametrize("page", [*PAGES, *RECIPES], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_and_recipes_use_plain_words(page):
    assert avoided_words(page.read_text("utf-8")) == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT / "src").as_posix())
def test_what_a_user_reads_uses_plain_words(file):
    found = [(text, words) for text in texts(file.read_text("utf-8")) if (words := avoided_words(text))]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_sentences_are_short(page):
    assert too_long(page.read_text("utf-8")) == []


@pytest.mark.parametrize("page", [*PAGES, *RECIPES], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_only_the_results_name_commits(page):
    hashes = [
        word for word in re.findall(r"\b[0-9a-f]{7,12}\b", prose(page.read_text("utf-8"))) if re.search("[a-f]", word)
    ]
    assert hashes == [] or page.name == "results.md"


def test_the_readme_is_read_in_a_few_minutes():
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= 450


@pytest.mark.parametrize("word", [word for words in AVOIDED.values() for word in words])
def test_each_avoided_word_is_found_in_a_page(word):
    assert word in [found for found, _ in avoided_words(f"# A page\n\nHere {word.capitalize()}\nis used.\n")]
