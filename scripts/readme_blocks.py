"""Run the README's shell and Python blocks as a reader would, in the current folder, with made-up photos.

Lines that install something are left out: `scripts/wheel` has installed the wheel already.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"daisy": (240, 240, 240), "rose": (200, 20, 60), "sunflower": (240, 190, 20)}
IMAGES_PER_CLASS = 12


def write_photos(folder: Path, new: Path) -> None:
    """Noisy images of one colour per class, enough for a training; `new` is one more."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for i in range(IMAGES_PER_CLASS):
            noise = rng.integers(-40, 40, (64, 96, 3))
            Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8)).save(folder / name / f"{i}.jpg")
    Image.open(folder / "rose" / "0.jpg").rotate(90).save(new)


def blocks(text: str) -> list[tuple[str, str]]:
    """The README's blocks of code: language and text.

    >>> blocks("a\\n```bash\\npip install x\\nfoveola demo\\n```\\nb\\n```python\\nprint(1)\\n```\\n")
    [('bash', 'foveola demo'), ('python', 'print(1)')]
    """
    found = []
    for language, code in re.findall(r"^```(bash|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        lines = [line for line in code.splitlines() if not line.startswith("pip install")]
        if lines:
            found.append((language, "\n".join(lines)))
    return found


def main(readme: Path) -> None:
    """Run all blocks in order; the first that fails ends the program with its exit code."""
    write_photos(Path("photos"), Path("new.jpg"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = blocks(readme.read_text("utf-8"))
    if {language for language, _ in found} != {"bash", "python"}:
        sys.exit(f"{readme} has no shell or no Python block to run")
    for language, code in found:
        print(f"--- {language}\n{code}\n---", flush=True)
        command = ["bash", "-euc", code] if language == "bash" else [sys.executable, "-c", code]
        subprocess.run(command, check=True, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
