"""Run by hatchling: the README as a package index shows it, without links that lead nowhere there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ReadmeHook(MetadataHookInterface):
    """Makes the README's links absolute, or turns them into text while the project has no address to link to."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the field `readme`."""
        text = (Path(self.root) / "README.md").read_text("utf-8")
        base = metadata.get("urls", {}).get("Repository", "")
        metadata["readme"] = {"content-type": "text/markdown", "text": without_relative_links(text, base)}


def without_relative_links(text: str, base: str = "") -> str:
    """Markdown whose relative links and images begin with `base`; without one, a link becomes its text and its path.

    >>> without_relative_links("See [how](docs/how.md), [docs/a.md](docs/a.md) or [x](https://x.org).")
    'See how (`docs/how.md`), `docs/a.md` or [x](https://x.org).'
    >>> without_relative_links("![a page](a.png)\\n[how](docs/how.md)", "https://host/foveola/blob/main")
    '![a page](https://host/foveola/blob/main/a.png)\\n[how](https://host/foveola/blob/main/docs/how.md)'
    """

    def changed(found: re.Match[str]) -> str:
        image, words, path = found.groups()
        if "://" in path or path.startswith("#"):
            return found[0]
        if base:
            return f"{image}[{words}]({base.rstrip('/')}/{path})"
        if image:
            return ""
        return f"`{path}`" if words == path else f"{words} (`{path}`)"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", changed, text)
