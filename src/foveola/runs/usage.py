"""How often the test part of a run was opened: training's own opening is the first, each later one leaves a line.

The more often a test part is looked at, and something is chosen by it, the less its number says about new images (C. Dwork
et al., "The reusable holdout", Science 349, 2015).
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from foveola.storage import disk_errors_as_resource_error

NAME = "test_opened_again.jsonl"


def count_test_uses(run: Path) -> int:
    """How often: 1 after training. Raises no error for a run from before this was kept: it was opened once or more."""
    try:
        return 1 + (run / NAME).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 1


def record_test_use(run: Path, by: str) -> int:
    """Write down one more opening; gives how often it was opened by now.

    One line, appended by one write and flushed to the disk: two processes at once leave two lines, and a kill none or one.
    Raises ResourceError when the folder can't be written: see `workflows.answers.use_test_part` for what follows.
    """
    line = json.dumps({"when": datetime.now(UTC).isoformat(timespec="seconds"), "by": by}) + "\n"
    path = run / NAME
    with disk_errors_as_resource_error(path, len(line)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    return count_test_uses(run)
