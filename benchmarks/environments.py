"""Each peer in a virtual environment of its own: made once from its pinned requirements, used again while they stand."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
ENVIRONMENTS = HERE / ".envs"

MODULES = {"keras": "tensorflow, keras", "torch": "torch", "fastai": "fastai.learner"}
"""What must import before a peer is believed to be there: installing is not enough where two packages disagree."""


@dataclass(frozen=True)
class Environment:
    """A peer's Python, or the reason why there is none."""

    python: Path
    problem: str = ""


def environment(peer: str) -> Environment:
    """The environment of a peer, made if it is not there or its requirements changed; "" is foveola's own.

    A peer that can't be installed or imported is no error: the results say so, with the last line of the refusal.
    """
    if not peer:
        return Environment(Path(sys.executable))
    folder = ENVIRONMENTS / peer
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = PEERS / peer / "requirements.txt"
    wanted = key_of(requirements.read_bytes())
    stamp = folder / "installed"
    if not stamp.is_file() or stamp.read_text("utf-8") != wanted:
        print(f"bench: installing the environment of {peer}", file=sys.stderr)
        if folder.exists():
            shutil.rmtree(folder)
        problem = _run(sys.executable, "-m", "venv", str(folder)) or _run(
            str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)
        )
        if problem:
            return Environment(python, f"{peer} could not be installed: {problem}")
        stamp.write_text(wanted, "utf-8")
    problem = _run(str(python), "-c", f"import {MODULES[peer]}")
    return Environment(python, f"{peer} does not import: {problem}" if problem else "")


def key_of(requirements: bytes) -> str:
    """What an environment is known by: its requirements' hash and the Python it was made with."""
    return f"{hashlib.sha256(requirements).hexdigest()} {platform.python_version()}"


def _run(*command: str) -> str:
    """Run a command; "" when it went well, else the last line that says why not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return last_line(done.stderr or done.stdout) if done.returncode else ""


def last_line(text: str) -> str:
    """The last line that is no notice, without this machine's paths and addresses: it goes into published results.

    >>> last_line("WARNING: old pip\\nERROR: No matching distribution found for x==9\\n[notice] a new pip is there\\n")
    'ERROR: No matching distribution found for x==9'
    >>> last_line("OSError: /home/ann/.envs/keras/lib.so: cannot open")
    'OSError: (path): cannot open'
    """
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if line and not line.startswith(("WARNING", "[notice]"))]
    return scrubbed(telling[-1])[:300] if telling else "no reason was given"


def scrubbed(line: str) -> str:
    """A line without addresses and absolute paths."""
    return re.sub(r"(?<![\w.])/[^\s:'\",)]+", "(path)", re.sub(r"\b\w+://\S+", "(address)", line))
