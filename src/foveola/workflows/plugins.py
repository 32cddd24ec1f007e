"""Plugins: run a user's Python file that registers networks, filters or heat maps."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from foveola.errors import UsageError

_loaded: set[Path] = set()


def load_plugin(file: str | os.PathLike[str]) -> None:
    """Run a Python file that registers networks, filters or explanations, once per process.

    Raises UsageError for a file that does not exist, is not a Python file, or fails.

        # tiny.py
        import foveola as fv

        @fv.MODELS.register("tiny")
        def tiny(*, size, classes, width: int = 16): ...
    """
    path = Path(file).absolute()
    if path in _loaded:
        return
    if not path.is_file() or path.suffix != ".py":
        raise UsageError(
            f"the plugin {file} is not a Python file: give a .py file that registers your network or filter"
        )
    spec = importlib.util.spec_from_file_location(f"foveola_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"the plugin {file} fails: {type(error).__name__}: {error}") from error
    _loaded.add(path)
