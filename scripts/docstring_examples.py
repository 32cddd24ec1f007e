"""For the site's reference: examples in docstrings are code; Markdown takes `>>>` for quotations in quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?:^>>> .*\n?(?:^.*\S.*\n?)*\n?)+", re.MULTILINE)


class Fence(griffe.Extension):
    """Each run of examples, with what they print, in a fence."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Griffe calls this for everything it has read."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    r"""An example ends at the empty line after which no other begins.

    >>> fenced("Two.\n\n>>> 1 + 1\n2\n\nMore.")
    'Two.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore.'
    """
    return _EXAMPLE.sub(
        lambda found: "```pycon\n" + found[0].rstrip("\n") + "\n```" + "\n\n" * found[0].endswith("\n\n"), text
    )
