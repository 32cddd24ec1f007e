"""What the tests share: a cache of their own, and small pictures made in code."""

import io
import os

# Before torch is imported: with a fixed number of threads no result depends on what else the computer does. One thread is
# also the fastest for images this small, and never waits for another one while other programs use the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as pillow


@pytest.fixture(scope="session", autouse=True)
def _no_cache_of_the_user(tmp_path_factory):
    """For fixtures that live longer than a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOVEOLA_CACHE", str(tmp_path_factory.mktemp("shared")))
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """An empty cache folder for every test, so that no test sees what another left, or the user's own."""
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FOVEOLA_CACHE", str(place))
    return place


@pytest.fixture(scope="session")
def recorder():
    """Make a `progress` for a verb that collects what it is told; `plan`, `row` and `tick` are called with theirs."""
    from foveola.runs.progress import Progress

    class Recorder(Progress):
        def __init__(self, told=None, **called):
            self.told = [] if told is None else told
            for name, function in called.items():
                setattr(self, name, function)

        def tell(self, line):
            self.told.append(line)

        note = tell

    return Recorder


@pytest.fixture
def ramp():
    """A smooth picture without symmetry: red grows downwards, green to the right, blue falls along the diagonal."""

    def make(height=24, width=36):
        y, x = np.mgrid[0:height, 0:width]
        red, green = y * 255 // max(1, height - 1), x * 255 // max(1, width - 1)
        return np.stack([red, green, 255 - (red + green) // 2], axis=2).astype(np.uint8)

    return make


@pytest.fixture
def noise():
    """A picture of its own for every number: 16 x 12 pixels of noise."""

    def make(number, height=16, width=12):
        return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)

    return make


@pytest.fixture
def encoded():
    """The bytes of a file, encoded by Pillow."""

    def make(image, format="PNG", **options):
        picture = image if isinstance(image, pillow.Image) else pillow.fromarray(image)
        out = io.BytesIO()
        picture.save(out, format, **options)
        return out.getvalue()

    return make


@pytest.fixture
def plant(encoded):
    """Write files below a folder: {"cats/1.png": array, bytes or text}; gives the folder back."""

    def make(root: Path, files):
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, np.ndarray):
                content = encoded(content)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture
def two_classes(plant, noise, tmp_path):
    """A folder "pets" of two classes with n pictures each, all different."""

    def make(n=4, root=None):
        names = [f"{kind}/{i}.png" for kind in ("cats", "dogs") for i in range(n)]
        return plant(root or tmp_path / "pets", {name: noise(k) for k, name in enumerate(names)})

    return make


@pytest.fixture
def age():
    """Set the modification time of every file below a folder ten seconds back (the change time stays: nobody can)."""

    def make(root: Path):
        for path in root.rglob("*"):
            status = path.lstat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 10_000_000_000), follow_symlinks=False)

    return make


@pytest.fixture
def scene():
    """A picture of its own for every number, textured in several sizes: uint8 (side, side, 3)."""

    def make(number, side=64):
        rng = np.random.default_rng([number, 77])
        image = np.full((side, side, 3), 128, np.float32)
        for cells, strength in ((4, 50), (10, 40), (24, 25)):
            coarse = rng.normal(0, strength, (cells, cells, 3)).astype(np.float32)
            image += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        return np.clip(image, 0, 255).astype(np.uint8)

    return make
