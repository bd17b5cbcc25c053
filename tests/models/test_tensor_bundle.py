"""SavedModels are read to the last bit, and never trusted."""

import base64
import re

import numpy as np
import pytest

pytest.importorskip("torch")

import saved_model  # noqa: E402
from medaudit.core.errors import MedauditError  # noqa: E402
from medaudit.models.weights.load import read_state  # noqa: E402
from medaudit.models.weights.tensor_bundle import read_bundle  # noqa: E402
from saved_model import Damage, nested, number, write  # noqa: E402

# Written by TensorFlow 2.21: gamma = arange(6).reshape(2, 3) / 4 and the step 5.
INDEX = base64.b64decode(
    "AAAGCAEaAggBABwOX0NIRUNLUE9JTlRBQkxFX09CSkVDVF9HUkFQSAgHEgAgICj8ATUv5oB1ABwTYS8uQVRUUklC"
    "VVRFUy9WQVJJQUJMRV9WQUxVRQgBEggSAggCEgIIAygYNU3JwDcAHA1iLy5BVFRSSUJVVEVTL1ZBUklBQkxFX1ZB"
    "TFVFCAkSACAYKAg16rIEPgAAAAABAAAAAHHHuTsAAAAAAQAAAADA8qGwAAEDYwCcAQAAAAABAAAAAIhNS3KhAQiu"
    "AQ8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAV/uAiyR1R9s="
)
DATA = base64.b64decode(
    "AAAAAAAAgD4AAAA/AABAPwAAgD8AAKA/BQAAAAAAAAD2AaKBOXgKMAoFCAESAWEKBQgCEgFiCgwIAxIIX19jYWxs"
    "X18KDggEEgpzaWduYXR1cmVzKgIIAQpNEkcKDlZBUklBQkxFX1ZBTFVFEhdyZXNuZXQvZ3JvdXBfbm9ybS9nYW1t"
    "YRocYS8uQVRUUklCVVRFUy9WQVJJQUJMRV9WQUxVRSoCCAEKQRI7Cg5WQVJJQUJMRV9WQUxVRRILZ2xvYmFsX3N0"
    "ZXAaHGIvLkFUVFJJQlVURVMvVkFSSUFCTEVfVkFMVUUqAggBCg8KCwgFEgd0cmFjZV8wKgAKFwoTCAYSD3NlcnZp"
    "bmdfZGVmYXVsdCoACgIqAAoCKgA="
)
VARIABLES = {
    "net/kernel": np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32),
    "net/bias": np.arange(5, dtype=np.float64),
    "net/half": np.linspace(0, 1, 7).astype(np.float16),
    "step": np.array(-3, dtype=np.int64),
    "empty": np.zeros((0, 2), np.float32),
}


def changed(name: str, **fields):
    """Change the entry of one variable."""
    key = f"variables/{list(VARIABLES).index(name)}/.ATTRIBUTES/VARIABLE_VALUE"
    return Damage(entry=lambda found, entry: entry | fields if found == key else entry)


def same(found, expected) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].numpy().dtype == value.dtype
        assert np.array_equal(found[name].numpy(), value)


def test_checksums_of_the_writer_are_castagnolis():
    assert saved_model.crc32c(b"123456789") == 0xE3069283


def test_a_bundle_by_tensorflow_itself(tmp_path):
    (tmp_path / "variables.index").write_bytes(INDEX)
    (tmp_path / "variables.data-00000-of-00001").write_bytes(DATA)
    gamma = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
    expected = {"resnet/group_norm/gamma": gamma, "global_step": np.array(5, np.int64)}
    same(read_state(tmp_path / "variables.index"), expected)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("shards", [1, 3])
def test_names_shapes_types_and_values(tmp_path, named, shards):
    same(read_bundle(write(tmp_path, VARIABLES, named, shards=shards)), VARIABLES)


def test_many_blocks_and_long_shared_keys(tmp_path):
    many = {f"a/rather/long/name/of/{i:04d}/kernel": np.full(i % 7, i, "f4") for i in range(300)}
    same(read_bundle(write(tmp_path, many)), many)


def test_a_name_that_stands_twice_is_not_used(tmp_path):
    graph = Damage(graph=lambda text: text.replace(b"net/half", b"net/bias"))
    found = read_bundle(write(tmp_path, VARIABLES, damage=graph))
    keys = {f"variables/{i}/.ATTRIBUTES/VARIABLE_VALUE" for i in (1, 2)}
    assert found.keys() == {"net/kernel", "step", "empty"} | keys


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (changed("net/kernel", offset=10**6), "ends at byte .* which has"),
        (changed("net/kernel", offset=2**63 - 1), "ends at byte|overlaps"),
        (changed("net/kernel", size=92), r"has 92 bytes for \[3, 4, 2\] float32|overlaps"),
        (changed("net/kernel", shape=(3, 4, 3)), r"has 96 bytes for \[3, 4, 3\]"),
        (changed("net/kernel", shape=(2**64 - 1, 4, 2)), "has 96 bytes for"),
        (changed("net/kernel", kind=14), "TensorFlow's type 14"),
        (changed("net/kernel", crc=1), "the checksum of .*variables/0.* differs"),
        (changed("net/kernel", shard=4), "refers to data file 4, but there are only 1"),
        (changed("net/bias", offset=0), "overlaps"),
        (changed("net/bias", slices=nested(7, b"")), "stored in slices"),
        (Damage(endianness=1), "big-endian"),
        (Damage(header=False), "no header"),
        (Damage(kind=1), r"compressed \(type 1\)"),
        (Damage(graph=lambda text: text[:-1]), "longer than its message"),
        (Damage(graph=lambda text: number(1, 5)), "a number instead of a message"),
        (Damage(block=lambda block: block[:-1] + b"\xff"), "truncated"),
        (Damage(block=lambda block: block[:2]), "truncated"),
        (Damage(block=lambda block: b"\x05" + block[1:]), "longer than its block"),
        (Damage(handles=lambda h: h | {b"~": next(iter(h.values()))}), "blocks overlap"),
        (Damage(handles=lambda h: dict.fromkeys(h, b"\xff\x7f\x10")), "is outside"),
    ],
)
def test_a_bundle_that_is_wrong_though_its_checksums_are_right(tmp_path, damage, message):
    index = write(tmp_path, VARIABLES, damage=damage)
    with pytest.raises(MedauditError, match=f"not a valid index.*({message})"):
        read_bundle(index)


def test_a_key_that_grows_beyond_measure(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_model, "RESTART_EVERY", 10**6)
    long = "k" * 3000
    index = write(tmp_path, {f"{long}{i:04d}": np.zeros(1, "f4") for i in range(64)}, named=False)
    with pytest.raises(MedauditError, match="expand without limit"):
        read_bundle(index)


def test_a_missing_data_file(tmp_path):
    index = write(tmp_path, VARIABLES)
    index.with_suffix(".data-00000-of-00001").unlink()
    with pytest.raises(MedauditError, match="data-00000-of-00001"):
        read_bundle(index)


@pytest.mark.parametrize("content", [b"", b"x" * 47, b"x" * 500, INDEX[:-1]])
def test_what_is_no_index(tmp_path, content):
    (tmp_path / "variables.index").write_bytes(content)
    with pytest.raises(MedauditError, match="does not end with the magic number"):
        read_bundle(tmp_path / "variables.index")


def test_every_byte_of_the_tensors_is_checked(tmp_path):
    data = write(tmp_path, VARIABLES).with_suffix(".data-00000-of-00001")
    sound = data.read_bytes()
    for place in range(0, len(sound), 7):
        data.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with pytest.raises(MedauditError, match="not a valid index"):
            read_bundle(tmp_path / "variables" / "variables.index")


@pytest.mark.parametrize("valid_checksums", [True, False])
def test_random_damage_is_an_error_or_no_harm(tmp_path, valid_checksums):
    rng = np.random.default_rng(3)

    def spoil(block: bytes) -> bytes:
        places = rng.integers(0, len(block), rng.integers(1, 4))
        spoilt = bytearray(block)
        for place in places:
            spoilt[place] = rng.integers(0, 256)
        return bytes(spoilt) if rng.random() < 0.8 else bytes(spoilt[: places[0]])

    refused = 0
    for _ in range(200):
        damage = Damage(block=spoil) if valid_checksums else Damage()
        index = write(tmp_path, VARIABLES, damage=damage)
        if not valid_checksums:
            index.write_bytes(spoil(index.read_bytes()))
        try:
            found = read_bundle(index)
        except MedauditError as error:
            assert re.search("not a valid index", str(error))
            refused += 1
        else:
            assert valid_checksums or found.keys() == VARIABLES.keys()
    assert refused > 150
