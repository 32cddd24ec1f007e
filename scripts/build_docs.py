"""What `scripts/docs` does: pages, notebooks and reference into one folder, MkDocs over it, then a look at every link."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from notebooks import rendered, surroundings

ROOT = Path(__file__).parents[1]
PAGES, SITE = ROOT / "build" / "pages", ROOT / "site"


def main() -> None:
    """Build, check, say what was made."""
    args = _arguments()
    if args.options:
        write_options(ROOT / "docs" / "reference" / "recipe.md")
        return
    notebooks = sorted((ROOT / "course").glob("[0-9]*.py"))
    if args.only:
        for source in notebooks:
            if source.name.startswith(f"{args.only}_"):
                rendered(source, args.again, args.small)
        return
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES)
    shutil.copy(ROOT / "CHANGELOG.md", PAGES / "changelog.md")
    for source in notebooks:
        shutil.copytree(rendered(source, args.again, args.small), PAGES / "course", dirs_exist_ok=True)
    write_reference()
    for page in PAGES.rglob("*.md"):
        text = re.sub(
            r"\]\(\.\./\.\./course/(\w+)\.py\)", r"](\1.md)", page.read_text("utf-8")
        )  # its page, not its source
        page.write_text(bars_in_tables(text), "utf-8")
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # an advertisement of the theme's maker, 20 lines of it
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--clean"], cwd=ROOT, check=True)
    wrong = broken_links(SITE)
    for line in wrong:
        print(f"docs: {line}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print(f"docs: {len(list(SITE.rglob('*.html')))} pages in {SITE.relative_to(ROOT)}/, all links lead somewhere")
    if given := list(surroundings()):
        print(f"docs: the course shows images of {', '.join(given)}: ask whose they are before you publish the site")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/docs")
    parser.add_argument("--small", action="store_true", help="run the notebooks on few images")
    parser.add_argument("--only", metavar="N", choices=list("123456"), help="run notebook N, and build no site")
    parser.add_argument(
        "--options", action="store_true", help="write the table of recipe options into its page, no site"
    )
    parser.add_argument("--again", action="store_true", help="run notebooks again that were run before")
    return parser.parse_args()


def write_reference() -> None:
    """Pages made from the code: the commands' help, the tables of things known by name, the Python interface."""
    place = PAGES / "reference"
    help_ = subprocess.run(
        [sys.executable, "-m", "typer", "foveola.cli", "utils", "docs", "--name", "foveola", "--title", "Commands"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (place / "commands.md").write_text(examples_as_code(help_), "utf-8")
    (place / "names.md").write_text(_names(), "utf-8")
    import foveola

    kinds = ("MODELS", "FILTERS", "DATASETS", "EXPLANATIONS", "__version__")
    blocks = [f"::: foveola.{_home(name)}\n" for name in sorted(foveola.__all__, key=str.lower) if name not in kinds]
    (place / "python.md").write_text("# Python\n\n" + "\n".join(blocks), "utf-8")


def examples_as_code(commands: str) -> str:
    """Typer writes a command's examples as one paragraph; as code, each keeps its line.

    >>> examples_as_code("foveola runs\\nfoveola runs here\\n")
    '    foveola runs\\n    foveola runs here\\n'
    """
    return re.sub(r"^(?=foveola )", "    ", commands, flags=re.MULTILINE)


def _home(name: str) -> str:
    import foveola

    if name == "figures":
        return name
    return f"{getattr(foveola, name).__module__.removeprefix('foveola.')}.{name}"


def write_options(page: Path) -> None:
    """Put the table of `foveola list options` between the page's two comments."""
    before, first, rest = re.split(r"(<!-- options:.*\n)", page.read_text("utf-8"))
    after = rest[rest.index("<!-- /options -->") :]
    page.write_text(before + first + options_table() + after, "utf-8")


def options_table() -> str:
    """What `foveola list options` prints, as a table for a page."""
    from foveola.workflows import catalog

    lines = ["| option | what it does | values | default |", "|---|---|---|---|"]
    for entry in catalog("options"):
        values, default = entry.options
        cells = [f"`{entry.name}`", entry.text, values, default.removeprefix("default: ")]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _names() -> str:
    from foveola.workflows import catalog

    parts = ["# Known by name\n\nMade from the code; the same as `foveola list`.\n"]
    for kind in ("filters", "models", "explanations", "datasets"):
        parts.append(f"\n## {kind.capitalize()}\n\n| name and options | what it is |\n|---|---|\n")
        for entry in catalog(kind):
            text = re.sub(
                r"`[^`]*`|\*", lambda found: found[0].replace("*", r"\*") if found[0] == "*" else found[0], entry.text
            )
            parts.append(f"| `{entry.signature}` | {text} |\n")
    return "".join(parts)


def bars_in_tables(text: str) -> str:
    """GitHub wants a bar within a table's code escaped; Python-Markdown would show the backslash.

    >>> bars_in_tables("| `a \\\\| b` |\\n`a \\\\| b`")
    '| `a | b` |\\n`a \\\\| b`'
    """
    lines = [line.replace("\\|", "|") if line.startswith("|") else line for line in text.split("\n")]
    return "\n".join(lines)


class _Links(HTMLParser):
    """All that a page refers to, and the anchors it has."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {key: value for key, value in attributes if value}
        self.anchors |= {found[key] for key in ("id", "name") if key in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(found["href"])
        elif "src" in found:
            self.loads.append(found["src"])


def broken_links(site: Path) -> list[str]:
    """Links that lead nowhere, and files that would have to come from the internet."""
    pages = {}
    for path in site.rglob("*.html"):
        pages[path.resolve()] = parsed = _Links()
        parsed.feed(path.read_text("utf-8"))
    wrong = []
    for path, page in pages.items():
        shown = path.relative_to(site.resolve())
        wrong += [f"{shown} loads {url}" for url in page.loads if re.match(r"(https?:)?//", url)]
        for url in (*page.links, *page.loads):
            parts = urlsplit(url)
            if parts.scheme or parts.netloc or shown.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                wrong.append(f"{shown} links to {url}, which is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                wrong.append(f"{shown} links to {url}: the page has no such place")
    return wrong


if __name__ == "__main__":
    main()
