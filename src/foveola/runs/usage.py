"""Count the uses of a run's test set: training is the first, each later use appends a line.

The more often someone chooses by a test set, the less its accuracy says about new images (C. Dwork
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
    """Return the number of uses: 1 after training."""
    try:
        return 1 + (run / NAME).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 1


def record_test_use(run: Path, by: str) -> int:
    """Record one more use of the test set; return the number of uses.

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
