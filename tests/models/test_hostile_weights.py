"""Weights that would run code, fill the memory or lie: each is refused and leaves no mark."""

import gzip
import json
import os
import pickle
import struct
import zipfile

import joblib
import numpy as np
import pytest
import torch

from hostile_files import (
    PICKLE_BOMBS,
    Gadget,
    edit_zip,
    npy_header,
    run_bounded,
    save_zip,
    truncations,
)
from medaudit.core.errors import MedauditError
from medaudit.models.weights.load import read_state

READ = """
import sys, torch; from pathlib import Path; from medaudit.models.weights.load import read_state; from medaudit.core.errors import MedauditError
for name in sys.argv[1:]:
    try: print("read", *read_state(Path(name)))
    except MedauditError as error: print("refused", error)
"""


def refuse(path) -> str:
    with pytest.raises(MedauditError) as caught:
        read_state(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def write_numpy(path, held):
    with path.open("wb") as stream:
        np.save(stream, np.array([held], dtype=object), allow_pickle=True)


WRITERS = {
    "pickle.pt": lambda path, held: path.write_bytes(pickle.dumps(held)),
    "pickle.safetensors": lambda path, held: path.write_bytes(pickle.dumps(held)),
    "pickle.npz": lambda path, held: path.write_bytes(pickle.dumps(held)),
    "gzip.pth": lambda path, held: path.write_bytes(gzip.compress(pickle.dumps(held))),
    "joblib.bin": lambda path, held: joblib.dump(held, path),
    "joblib.pth": lambda path, held: joblib.dump(held, path, compress=3),
    "joblib.pkl": lambda path, held: joblib.dump(held, path),
    "array.npy": write_numpy,
    "array.npz": lambda path, held: np.savez(path, a=np.array([held], dtype=object)),
    "index.index": lambda path, held: path.write_bytes(pickle.dumps(held)),
    "torch.ckpt": lambda path, held: torch.save({"state_dict": {}, "callbacks": held}, path),
    "legacy.tar": lambda path, held: torch.save(held, path, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_gadget_in_any_container_is_refused(tmp_path, name):
    mark, path = tmp_path / "mark", tmp_path / name
    WRITERS[name](path, {"w": np.ones(2), "evil": Gadget(mark)})
    refuse(path)
    assert not mark.exists()


def test_the_gadget_would_have_left_its_mark(tmp_path):
    joblib.dump({"evil": Gadget(tmp_path / "mark")}, tmp_path / "a.pkl")
    joblib.load(tmp_path / "a.pkl")
    assert (tmp_path / "mark").is_dir()


def test_a_pickle_within_a_value_stays_bytes(tmp_path):
    inner = pickle.dumps(Gadget(tmp_path / "mark"))
    torch.save({"state_dict": {"w": torch.ones(2)}, "hyper": {"a": inner}}, tmp_path / "a.ckpt")
    assert read_state(tmp_path / "a.ckpt").keys() == {"w"}
    assert not (tmp_path / "mark").exists()


def write_bombs(folder):
    """Write small files that would need gigabytes."""
    bombs = [
        save_zip(folder / "pickle.pt", {"a/data.pkl": bytes(20 << 20)}),
        save_zip(folder / "order.pt", {"a/data.pkl": b"}.", "a/byteorder": bytes(20 << 20)}),
        save_zip(folder / "sum.npz", {f"{k}.npy": npy_header("(9,)") + bytes(9) for k in range(4)}),
    ]
    data = bytearray(bombs[-1].read_bytes())
    place = data.find(b"PK\x01\x02")
    while place >= 0:  # each member announces 400 MB
        data[place + 24 : place + 28] = (400 << 20).to_bytes(4, "little")
        place = data.find(b"PK\x01\x02", place + 1)
    bombs[-1].write_bytes(data)
    for name, pickled in PICKLE_BOMBS.items():
        bombs.append(save_zip(folder / f"zip {name}.pt", {"a/data.pkl": pickled}, packed=False))
        bombs.append(folder / f"legacy {name}.pt")
        bombs[-1].write_bytes(pickled)
    header = (1 << 40).to_bytes(8, "little") + b"{}"
    (folder / "header.safetensors").write_bytes(header)
    return [*bombs, folder / "header.safetensors"]


def test_bombs_are_refused_with_little_memory(tmp_path):
    bombs = write_bombs(tmp_path)
    said = run_bounded(READ, 500, *bombs).splitlines()
    assert [line.split()[0] for line in said] == ["refused"] * len(bombs), said
    assert "it expands" in said[2]


def test_storages_that_share_bytes_cannot_add_up(tmp_path):
    torch.save({f"w{k}": torch.full((5000,), float(k)) for k in range(20)}, tmp_path / "good.pt")
    data = bytearray((tmp_path / "good.pt").read_bytes())
    with zipfile.ZipFile(tmp_path / "good.pt") as archive:
        first = next(i for i in archive.infolist() if i.filename.endswith("/data/0"))
    place = data.find(b"PK\x01\x02")
    while place >= 0:  # every member's entry points to the first one's bytes
        length = int.from_bytes(data[place + 28 : place + 30], "little")
        if b"/data/" in data[place + 46 : place + 46 + length]:
            data[place + 42 : place + 46] = first.header_offset.to_bytes(4, "little")
        place = data.find(b"PK\x01\x02", place + 1)
    (tmp_path / "bad.pt").write_bytes(data)
    refuse(tmp_path / "bad.pt")


def test_archives_that_numpy_would_stumble_over(tmp_path):
    header = npy_header("(1600,)") + os.urandom(1600)
    path = save_zip(tmp_path / "flipped.npz", {"a.npy": header})
    data = bytearray(path.read_bytes())
    data[60:70] = b"\xff" * 10
    path.write_bytes(data)
    assert "not a valid .npz" in refuse(path)
    path = save_zip(tmp_path / "locked.npz", {"a.npy": header}, packed=False)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "encrypted" in refuse(path)
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive,
    ):
        for _ in range(2):
            archive.writestr("a.npy", header)
    assert "duplicate name" in refuse(tmp_path / "twice.npz")


def entry(start, end, shape=(2,), kind="F32"):
    return {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}


LIES = {
    "beyond": ({"a": entry(0, 8000, (2000,))}, 8),
    "overlap": ({"a": entry(0, 8), "b": entry(4, 12)}, 12),
    "gap": ({"a": entry(0, 8), "b": entry(12, 20)}, 20),
    "negative": ({"a": entry(-8, 0)}, 8),
    "backwards": ({"a": entry(8, 0)}, 8),
    "wraps": ({"a": entry(2**64 - 8, 2**64 - 1)}, 8),
    "negative shape": ({"a": entry(0, 8, (-2,))}, 8),
    "shape overflows": ({"a": entry(0, 8, (2**33, 2**33))}, 8),
    "shape and size differ": ({"a": entry(0, 8, (3,))}, 8),
    "rest": ({"a": entry(0, 8)}, 16),
    "kind": ({"a": entry(0, 8, kind="X9")}, 8),
    "no mapping": ([], 0),
    "deep": (b"[" * 100_000, 0),
    "not UTF-8": (b"\xff" * 9, 0),
    "name twice": (
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}',
        16,
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_safetensors_header_that_lies_is_refused(tmp_path, lie):
    header, size = LIES[lie]
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    assert "not a valid safetensors file" in refuse(path)


def write_sound(folder):
    from safetensors.torch import save_file

    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}
    torch.save(state, folder / "zip.pt")
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    save_file(state, folder / "s.safetensors")
    np.savez(folder / "a.npz", **{key: value.numpy() for key, value in state.items()})
    edit_zip(folder / "a.npz", folder / "packed.npz", lambda _, content: content)
    return [
        folder / name for name in ("zip.pt", "legacy.pt", "s.safetensors", "a.npz", "packed.npz")
    ]


def spoil(folder, count):
    """Return how many damaged weights were refused, and how many read; anything else fails."""
    refused = 0
    for number, path in enumerate(write_sound(folder)):
        for content in truncations(path.read_bytes(), count, number):
            path.write_bytes(content)
            try:
                state = read_state(path)
                assert all(map(torch.is_tensor, state.values()))
            except MedauditError:
                refused += 1
    return refused, 5 * count - refused


def test_damage_at_random_is_refused_or_harmless(tmp_path):
    refused, read = spoil(tmp_path, 60)
    assert refused > read


@pytest.mark.slow
def test_much_damage_at_random(tmp_path):
    print(spoil(tmp_path, 4000), "weights refused and read")
