"""What the programs here share: printing an event, and which versions they run with."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from typing import Any


def say(event: str, **facts: Any) -> None:
    """Print one event as a line of JSON."""
    print(json.dumps({"event": event, **facts}), flush=True)


def versions(*packages: str) -> dict[str, str]:
    """Python's version and those of the packages."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
