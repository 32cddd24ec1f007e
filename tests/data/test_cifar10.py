import errno
import gzip
import io
import os
import pickle
import struct
import tarfile
import threading
from functools import partial
from hashlib import md5
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from foveola.data import builtin, cifar10
from foveola.data.builtin import DATASETS
from foveola.data.cifar10 import CLASS_NAMES, cifar10_place, open_cifar10, unpickle_batch
from foveola.errors import DataError, ResourceError
from foveola.types import no_tick

BIN = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
EXPECTED = "and not uint8 of (n, 3072) row by row"
PY = [name.removesuffix(".bin") for name in BIN]


def rows(k):
    """Two images for batch k: uint8 (2, 3072), and labels that use every class in batches 1 to 5."""
    return np.random.default_rng(k).integers(0, 256, (2, 3072), np.uint8), [2 * k % 10, (2 * k + 1) % 10]


def binary(k):
    images, labels = rows(k)
    return b"".join(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))


def pickled(k, protocol=2):
    images, labels = rows(k)
    return pickle.dumps(
        {b"batch_label": b"x", b"labels": labels, b"data": images, b"filenames": [b"a", b"b"]}, protocol
    )


def python2(module=b"numpy.core.multiarray"):
    """A batch as Python 2 pickled it, byte for byte: protocol 2, text as bytes, numpy's old module name."""
    images, labels = rows(0)
    raw = images.tobytes()

    def text(value):
        return b"U" + bytes([len(value)]) + value

    array = (
        b"c" + module + b"\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R(K\x01K\x02M\x00\x0c\x86"
    )
    array += b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN"
    array += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array += b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"labels") + numbers + text(b"data") + array + b"u."


def members(folder, names, make):
    return {f"{folder}/{name}": make(k) for k, name in enumerate(names)}


BINARY = members("cifar-10-batches-bin", BIN, binary)
PYTHON = members("cifar-10-batches-py", PY, pickled)


def archive(path, files, extra=()):
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for entry in extra:
            tar.addfile(entry)
    return path


@pytest.fixture
def binary_archive(tmp_path):
    return archive(tmp_path / "cifar-10-binary.tar.gz", BINARY)


def refusal(path):
    with pytest.raises(DataError) as caught:
        open_cifar10(path)
    return str(caught.value)


def batch_refusal(data):
    with pytest.raises(DataError) as caught:
        unpickle_batch(data, "batch")
    return str(caught.value)


def by_hand():
    """All images (12, 32, 32, 3), by the words of the format: red, green and blue planes, row by row."""
    flat = np.concatenate([rows(k)[0] for k in range(6)])
    out = np.empty((12, 32, 32, 3), np.uint8)
    for channel in range(3):
        for row in range(32):
            start = 1024 * channel + 32 * row
            out[:, row, :, channel] = flat[:, start : start + 32]
    return out


def test_a_record_is_a_label_and_three_planes_row_by_row(binary_archive):
    dataset = open_cifar10(binary_archive)
    expected = by_hand()
    assert all((dataset.read(i) == expected[i]).all() for i in range(12))
    assert dataset.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_train_and_test_are_official_parts(binary_archive):
    dataset = open_cifar10(binary_archive)
    assert dataset.parts.tolist() == [0] * 10 + [2] * 2
    assert (dataset.ids[0], dataset.ids[9], dataset.ids[10]) == ("train/00000", "train/00009", "test/00000")
    assert (dataset.name, dataset.files_found, dataset.problems) == ("cifar10", 12, ())
    assert dataset.class_names == CLASS_NAMES
    assert " ".join(CLASS_NAMES) == "airplane automobile bird cat deer dog frog horse ship truck"


def test_all_forms_are_the_same_data_set(tmp_path, plant, binary_archive):
    plant(tmp_path / "bin", BINARY)
    plant(tmp_path / "py", PYTHON)
    places = [
        tmp_path / "bin" / "cifar-10-batches-bin",
        tmp_path / "bin",
        tmp_path / "py" / "cifar-10-batches-py",
        tmp_path / "py",
        archive(tmp_path / "cifar-10-python.tar.gz", PYTHON),
        tmp_path,
    ]
    expected = open_cifar10(binary_archive).fingerprint
    assert [open_cifar10(place).fingerprint for place in places] == [expected] * 6


def test_progress_is_told(binary_archive):
    told = []
    open_cifar10(binary_archive, tick=lambda *args: told.append(args))
    assert told == [("Reading CIFAR-10", k, 6) for k in range(1, 7)]


def test_nothing_is_unpacked_to_the_disk(binary_archive, cache):
    open_cifar10(binary_archive)
    assert [path.name for path in binary_archive.parent.iterdir()] == ["cifar-10-binary.tar.gz"]
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("name", ["cifar-10-binary (1).tar.gz", "cifar-10-python.tgz"])
def test_a_browsers_name_of_the_archive_is_known(tmp_path, name):
    assert cifar10_place(archive(tmp_path / name, {}))


def test_a_folder_of_class_folders_is_not_taken_for_it(tmp_path, plant):
    assert not cifar10_place(plant(tmp_path / "cifar10", {"cat/data_batch_1.bin": "x", "dog/1.png": "y"}))
    assert not cifar10_place(plant(tmp_path, {"pets.tar.gz": "x"}) / "pets.tar.gz")
    assert not cifar10_place(tmp_path / "nothing")


def test_something_else_is_refused(tmp_path):
    allowed = (
        "give cifar-10-binary.tar.gz, cifar-10-python.tar.gz, the unpacked cifar-10-batches-bin or "
        "cifar-10-batches-py, or the folder around it"
    )
    assert refusal(tmp_path) == f"{tmp_path} is not CIFAR-10: {allowed}"
    assert refusal(tmp_path / "x") == f"{tmp_path / 'x'} does not exist: {allowed}"


def test_a_batch_of_another_length_is_refused(tmp_path):
    path = archive(tmp_path / "cifar-10-binary.tar.gz", BINARY | {"cifar-10-batches-bin/data_batch_3.bin": b"x" * 3072})
    assert refusal(path) == (
        f"{path}: data_batch_3.bin has 3,072 bytes, which is not a multiple of 3,073 "
        "(a label byte and 3,072 pixel bytes per image): download it again"
    )


@pytest.mark.parametrize("names", [BIN, PY])
def test_a_label_over_nine_is_refused(tmp_path, plant, names):
    wrong = bytes([1]) + bytes(3072) + bytes([10]) + bytes(3072)
    if names is PY:
        wrong = pickle.dumps({"labels": [1, 10], "data": np.zeros((2, 3072), np.uint8)})
    make = pickled if names is PY else binary
    folder = plant(tmp_path, {name: make(k) for k, name in enumerate(names)} | {names[5]: wrong})
    assert refusal(folder) == (
        f"{folder}: {names[5]}: image 1 has the label 10, and CIFAR-10 has 0 to 9: download it again"
    )


def test_a_label_below_zero_is_refused(tmp_path, plant):
    wrong = pickle.dumps({"labels": [1, -1], "data": np.zeros((2, 3072), np.uint8)})
    folder = plant(tmp_path, {name: pickled(k) for k, name in enumerate(PY)} | {PY[0]: wrong})
    assert refusal(folder) == (
        f"{folder}: data_batch_1: image 1 has the label -1, and CIFAR-10 has 0 to 9: download it again"
    )


def test_a_missing_batch_is_named(tmp_path, plant):
    folder = plant(tmp_path, {name: binary(0) for name in BIN if name not in ("data_batch_4.bin", "test_batch.bin")})
    assert refusal(folder) == (
        f"{folder} has no data_batch_4.bin, test_batch.bin: CIFAR-10 consists of data_batch_1.bin, data_batch_2.bin, "
        "data_batch_3.bin, data_batch_4.bin, data_batch_5.bin, test_batch.bin; download it again"
    )


def test_links_in_an_archive_are_passed_over(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(binary(5))
    link = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
    link.type, link.linkname = tarfile.SYMTYPE, str(secret)
    files = {name: data for name, data in BINARY.items() if "test" not in name}
    path = archive(tmp_path / "cifar-10-binary.tar.gz", files, [link])
    assert refusal(path).startswith(f"{path} has no test_batch.bin: ")


def test_members_elsewhere_are_passed_over(tmp_path):
    path = archive(tmp_path / "cifar-10-binary.tar.gz", BINARY | {"../test_batch.bin": b"x", "test_batch.bin": b"x"})
    assert len(open_cifar10(path)) == 12


def test_a_member_over_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "_MAX_MEMBER_BYTES", 6000)
    path = archive(tmp_path / "cifar-10-binary.tar.gz", BINARY)
    assert refusal(path) == (f"{path}: data_batch_1.bin has 6,146 bytes, over the limit of 6,000: download it again")


def test_a_file_over_the_limit_is_refused(tmp_path, plant, monkeypatch):
    monkeypatch.setattr(cifar10, "_MAX_MEMBER_BYTES", 6000)
    folder = plant(tmp_path, {name: binary(0) for name in BIN})
    assert refusal(folder) == (
        f"{folder}: data_batch_1.bin has 6,001 bytes, over the limit of 6,000: download it again"
    )


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "_MAX_UNPACKED_BYTES", 50_000)
    path = archive(tmp_path / "cifar-10-binary.tar.gz", {"bomb": bytes(60_000)} | BINARY)
    assert refusal(path) == (
        f"{path} unpacks to more bytes than CIFAR-10 has, over the limit of 50,000: download it again"
    )


def test_an_archive_cut_anywhere_is_refused(binary_archive):
    whole = binary_archive.read_bytes()
    for length in range(0, len(whole), 997):
        binary_archive.write_bytes(whole[:length])
        assert refusal(binary_archive).startswith(f"{binary_archive} ")
    binary_archive.write_bytes(whole[:-4])
    assert refusal(binary_archive) == (
        f"{binary_archive} is cut short or damaged (Compressed file ended before the end-of-stream marker was "
        "reached): delete it and download it again"
    )


def test_a_changed_pixel_in_an_archive_is_noticed(binary_archive):
    raw = bytearray(gzip.compress(gzip.decompress(binary_archive.read_bytes()), 0))
    raw[len(raw) // 2] ^= 1
    binary_archive.write_bytes(raw)
    assert refusal(binary_archive).startswith(f"{binary_archive} is cut short or damaged (CRC check failed ")


def test_an_archive_that_can_not_be_read_is_told(binary_archive, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(gzip, "open", refuse)
    assert refusal(binary_archive) == (
        f"{binary_archive} can't be read (permission denied): change its permissions or copy it again"
    )


def test_a_batch_that_can_not_be_read_is_told(tmp_path, plant, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    folder = plant(tmp_path, {name: binary(0) for name in BIN})
    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(folder) == (
        f"{folder / 'data_batch_1.bin'} can't be read (input/output error): change its permissions or copy it again"
    )


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(b"<html>")
    assert refusal(path) == (
        f"{path} is cut short or damaged (Not a gzipped file (b'<h')): delete it and download it again"
    )


@pytest.mark.parametrize("protocol", range(6))
def test_a_batch_pickled_by_this_numpy_is_read(protocol):
    images, labels = unpickle_batch(pickled(3, protocol), "batch")
    assert (images == rows(3)[0]).all()
    assert labels.tolist() == rows(3)[1]


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_a_batch_pickled_by_python_2_is_read(module):
    images, labels = unpickle_batch(python2(module=module), "batch")
    assert (images == rows(0)[0]).all()
    assert labels.tolist() == [0, 1]


def test_the_python_2_batch_is_a_true_one():
    found = pickle.loads(python2(), encoding="bytes")
    assert (found[b"data"] == rows(0)[0]).all()


class Writer:
    """Pickled, it asks for a call that writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


def test_a_pickle_that_asks_for_a_call_is_refused_and_nothing_runs(tmp_path):
    trap = pickle.dumps({"labels": [0], "data": Writer(tmp_path / "trap")})
    assert batch_refusal(trap) == "batch asks for posix.system: refused, it is not CIFAR-10; download it again"
    assert not (tmp_path / "trap").exists()


def test_the_trap_would_have_sprung(tmp_path):
    pickle.loads(pickle.dumps(Writer(tmp_path / "trap")))
    assert (tmp_path / "trap").exists()


@pytest.mark.parametrize("asked", ["builtins.eval", "numpy.load", "numpy.ndarray.tofile", "_codecs.lookup"])
def test_every_other_name_is_refused(asked):
    module, name = asked.split(".", 1)
    words = [b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name)]
    trap = b"\x80\x04" + b"".join(words) + b"\x93."
    assert batch_refusal(trap) == f"batch asks for {asked}: refused, it is not CIFAR-10; download it again"


def test_a_refused_archive_names_the_member(tmp_path):
    trap = pickle.dumps(Writer(tmp_path / "trap"))
    path = archive(tmp_path / "cifar-10-python.tar.gz", PYTHON | {"cifar-10-batches-py/data_batch_2": trap})
    assert refusal(path) == (
        f"{path}: data_batch_2 asks for posix.system: refused, it is not CIFAR-10; download it again"
    )


def test_a_pickle_can_not_change_what_it_is_given():
    attack = b"\x80\x02cnumpy\ndtype\nN}(U\x04nameU\x04evilu\x86b."
    assert batch_refusal(attack).startswith("batch is damaged or not a CIFAR-10 batch (AttributeError")
    assert unpickle_batch(python2(), "batch")[1].tolist() == [0, 1]


def test_a_memo_number_reserves_no_memory():
    assert batch_refusal(b"\x80\x02Nr\xff\xff\xff\xff.") == (
        "batch is damaged or not a CIFAR-10 batch (ValueError: a memo number of 4,294,967,295): download it again"
    )


@pytest.mark.parametrize(
    ("data", "labels", "reason"),
    [
        (np.zeros((2, 3072), np.int16), [0, 1], f"data is i2 of the shape (2, 3072) {EXPECTED}"),
        (np.zeros((2, 99), np.uint8), [0, 1], f"data is u1 of the shape (2, 99) {EXPECTED}"),
        (np.zeros((2, 3072), np.uint8), [0], "2 images and 1 labels"),
    ],
)
def test_a_batch_of_another_kind_is_refused(data, labels, reason):
    assert batch_refusal(pickle.dumps({"data": data, "labels": labels}, 4)) == (
        f"batch is damaged or not a CIFAR-10 batch (ValueError: {reason}): download it again"
    )


def test_a_batch_stored_by_columns_is_refused():
    by_columns = np.asfortranarray(np.zeros((2, 3072), np.uint8))
    for protocol in (4, 5):
        text = batch_refusal(pickle.dumps({"data": by_columns, "labels": [0, 1]}, protocol))
        assert f"data is u1 of the shape (2, 3072) {EXPECTED}" in text


def test_a_damaged_pickle_is_refused_or_read(tmp_path):
    whole = pickled(0)
    refused = 0
    for position in [*range(300), *range(len(whole) - 200, len(whole))]:
        try:
            damaged = whole[:position] + bytes([whole[position] ^ 0x15]) + whole[position + 1 :]
            images, labels = unpickle_batch(damaged, "batch")
            assert images.shape == (2, 3072) and labels.shape == (2,)
        except DataError:
            refused += 1
    assert refused > 50
    assert not list(tmp_path.iterdir())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def web(monkeypatch):
    """Where the archive would come from, and its checksum, replaced; nothing listens there."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(builtin, "CIFAR10_URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")


def test_by_name_the_cache_is_used(cache, web):
    (cache / "downloads").mkdir()
    archive(cache / "downloads" / "cifar-10-binary.tar.gz", BINARY)
    assert len(DATASETS["cifar10"](no_tick)) == 12


def test_without_a_network_it_says_what_to_put_where(cache, web):
    with pytest.raises(ResourceError) as caught:
        DATASETS["cifar10"](no_tick)
    assert str(caught.value) == (
        "can't download http://127.0.0.1:9/cifar-10-binary.tar.gz: there is no connection: try again later, or put the "
        f"file cifar-10-binary.tar.gz (md5 c32a1d4ab5d03f1284b67883e8d87530) into {cache / 'downloads'} by hand"
    )


def test_by_name_it_is_downloaded_and_read(tmp_path, monkeypatch, web):
    data = archive(tmp_path / "cifar-10-binary.tar.gz", BINARY).read_bytes()
    monkeypatch.setattr(builtin, "CIFAR10_MD5", md5(data).hexdigest())
    told = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        monkeypatch.setattr(builtin, "CIFAR10_URL", f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz")
        try:
            dataset = DATASETS["cifar10"](lambda *args: told.append(args))
        finally:
            server.shutdown()
    assert len(dataset) == 12
    assert told[0] == ("Downloading CIFAR-10", 0, len(data))
    assert told[-1] == ("Reading CIFAR-10", 6, 6)


def test_the_official_address_and_checksum():
    assert builtin.CIFAR10_URL == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert builtin.CIFAR10_MD5 == "c32a1d4ab5d03f1284b67883e8d87530"
