"""Vectors that somebody already has: every format, ids of every spelling, damaged files."""

import gzip
import struct

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medaudit.core.errors import MedauditError
from medaudit.data.image_ids import match_ids
from medaudit.models.kinds import build
from medaudit.models.kinds.embeddings import pool
from medaudit.models.stored_vectors import check_vectors, open_vectors

COUNT, LENGTH = 6, 4
ENTRY = {"kind": "embeddings", "name": "theirs"}


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    return tmp_path


def cohort(count=COUNT):
    names = [f"{number:08d}_000.png" for number in range(count)]
    return pd.DataFrame({"image_id": names, "path": [f"images/{name}" for name in names], "split": "test"})  # fmt: skip


def vectors(count=COUNT, *shape):
    return np.random.default_rng(0).standard_normal((count, *(shape or (LENGTH,)))).astype("<f4")


def ids_of(frame):
    return frame["image_id"].str.removesuffix(".png").to_numpy(str)


def example(features):
    """Serialise a ``tf.train.Example`` with the protobuf library, from a description of its own."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    for name, of in (("BytesList", kind.TYPE_BYTES), ("FloatList", kind.TYPE_FLOAT), ("Int64List", kind.TYPE_INT64)):  # fmt: skip
        file.message_type.add(name=name).field.add(name="value", number=1, type=of, label=3)
    feature = file.message_type.add(name="Feature")
    for number, name in enumerate(("BytesList", "FloatList", "Int64List"), 1):
        feature.field.add(name=name, number=number, type=11, type_name=f".t.{name}", label=1)
    features_type = file.message_type.add(name="Features")
    entry = features_type.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kind.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=11, type_name=".t.Feature", label=1)
    features_type.field.add(name="feature", number=1, type=11, type_name=".t.Features.FeatureEntry", label=3)  # fmt: skip
    file.message_type.add(name="Example").field.add(name="features", number=1, type=11, type_name=".t.Features", label=1)  # fmt: skip
    pool_ = descriptor_pool.DescriptorPool()
    pool_.Add(file)
    made = message_factory.GetMessageClass(pool_.FindMessageTypeByName("t.Example"))()
    for name, value in features.items():
        target = made.features.feature[name]
        if isinstance(value, bytes):
            target.BytesList.value.append(value)
        elif np.asarray(value).dtype.kind == "i":
            target.Int64List.value.extend(int(v) for v in value)
        else:
            target.FloatList.value.extend(float(v) for v in value)
    return made.SerializeToString()


def crc32c(data):
    """CRC-32C bit by bit, masked as TFRecord stores it."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def record(content):
    head = struct.pack("<Q", len(content))
    return head + struct.pack("<I", crc32c(head)) + content + struct.pack("<I", crc32c(content))


def write_npz(root, ids, values):
    np.savez(root / "e.npz", ids=ids, embeddings=values)
    return {"file": "e.npz"}


def write_npz_per_image(root, ids, values):
    np.savez(root / "e.npz", **dict(zip(ids, values, strict=True)))
    return {"file": "e.npz"}


def write_npy(root, ids, values):
    np.save(root / "e.npy", values)
    (root / "ids.txt").write_text("\n".join(ids) + "\n")
    return {"file": "e.npy", "ids": "ids.txt"}


def write_npy_with_table(root, ids, values):
    np.save(root / "e.npy", values.astype(np.float16).astype(np.float32))
    pd.DataFrame({"n": range(len(ids)), "dicom_id": ids}).to_csv(root / "ids.csv", index=False)
    return {"file": "e.npy", "ids": "ids.csv"}


def write_lists(root, ids, values):
    pd.DataFrame({"image_id": ids, "embedding": list(values)}).to_parquet(root / "e.parquet")
    return {"file": "e.parquet"}


def write_fixed_lists(root, ids, values):
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    pq.write_table(pa.table({"id": ids, "v": fixed, "age": range(len(ids))}), root / "e.parquet")
    return {"file": "e.parquet"}


def write_wide(root, ids, values):
    order = [f"emb_{k}" for k in reversed(range(values.shape[1]))]  # not in the numbers' order
    frame = pd.DataFrame(values[:, ::-1], columns=order).assign(path=ids, age=40)
    frame.to_parquet(root / "e.parquet")
    return {"file": "e.parquet"}


def write_hdf5(root, ids, values):
    with h5py.File(root / "e.h5", "w") as file:
        file["train/features"] = values
        file["train/ids"] = [one.encode() for one in ids]
    return {"file": "e.h5"}


def write_hdf5_per_image(root, ids, values):
    with h5py.File(root / "e.hdf5", "w") as file:
        for one, value in zip(ids, values, strict=True):
            file[f"all/{one}"] = value
    return {"file": "e.hdf5"}


def write_tfrecord(root, ids, values):
    parts = [record(example({"image/id": one.encode(), "embedding": v})) for one, v in zip(ids, values, strict=True)]  # fmt: skip
    (root / "e.tfrecord").write_bytes(b"".join(parts))
    return {"file": "e.tfrecord"}


def write_tfrecord_folder(root, ids, values):
    for one, value in zip(ids, values, strict=True):
        (root / "files" / one[:4]).mkdir(parents=True, exist_ok=True)
        content = record(example({"embedding": value}))
        (root / "files" / one[:4] / f"{one}.tfrecord.gz").write_bytes(gzip.compress(content))
    return {"file": "files"}


WRITERS = [value for name, value in sorted(globals().items()) if name.startswith("write_")]


@pytest.mark.parametrize("write", WRITERS)
def test_every_format_gives_each_image_its_vector(root, write):
    frame, values = cohort(), vectors()
    order = np.random.default_rng(1).permutation(COUNT)
    entry = write(root, ids_of(frame)[order], values[order])
    model = build({**ENTRY, **entry})
    ids, found = model.find(frame)
    assert list(check_vectors({"theirs": {**ENTRY, **entry}})) == []
    assert ids.tolist() == frame["image_id"].tolist() and found.dtype == np.float32
    np.testing.assert_allclose(found, values, atol=2e-3 if write is write_npy_with_table else 0)
    assert "6 of 6 images have a vector, 0 have none; 0 vectors are of other" in model.spec()["read_as"][0]  # fmt: skip


def test_a_grid_of_vectors_is_pooled_by_the_setting(root):
    frame, values = cohort(), vectors(COUNT, 2, 3, LENGTH)
    np.savez(root / "e.npz", ids=ids_of(frame), embeddings=values.reshape(COUNT, -1))
    entry = {**ENTRY, "file": "e.npz", "shape": [2, 3, LENGTH]}
    with pytest.raises(
        MedauditError, match=r"shape \[6, 2, 3, 4\], which is several vectors per im"
    ):
        open_vectors(entry)
    expected = {"mean": values.mean((1, 2)), "max": values.max((1, 2)), "first": values[:, 0, 0], "flatten": values.reshape(COUNT, -1)}  # fmt: skip
    for pooling, wanted in expected.items():
        found = build({**entry, "pooling": pooling}).find(frame)[1]
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    half = np.full((1, 5, 2), 60000, np.float16)
    assert pool(half, "mean").tolist() == [[60000, 60000]]  # no overflow of the sum
    with pytest.raises(MedauditError, match="24 numbers per image .* asks for .* = 25"):
        open_vectors({**entry, "shape": [25]})


CHEXPERT = [f"train/patient{k // 2:05d}/study{k % 2 + 1}/view1_frontal.jpg" for k in range(8)]
SPELLINGS = {
    "as it is": lambda path: path,
    "an absolute path": lambda path: f"/data/CheXpert-v1.0-small/{path}",
    "from Windows": lambda path: "C:\\x\\" + path.replace("/", "\\"),
    "another suffix": lambda path: path.replace(".jpg", ".dcm"),
    "flat": lambda path: path.split("/", 1)[1].replace("/", "_"),
    "flat, no suffix": lambda path: path.removesuffix(".jpg").replace("/", "-"),
    "capitals": str.upper,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_paths_whose_file_names_repeat_are_matched_in_any_spelling(spelling):
    frame = pd.DataFrame({"image_id": CHEXPERT, "path": CHEXPERT})
    ids = np.array([SPELLINGS[spelling](path) for path in reversed(CHEXPERT)])
    found = match_ids(ids, frame)
    assert found.place.tolist() == list(reversed(range(8))), found.rule
    assert len(found.extra) == len(found.repeated) == 0


def test_a_file_name_that_repeats_in_the_cohort_matches_nothing():
    frame = pd.DataFrame({"image_id": CHEXPERT, "path": CHEXPERT})
    assert match_ids(np.array(["view1_frontal.jpg"]), frame).rule is None


names = st.text("abcXYZ0129_-", min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(names, min_size=1, max_size=12), st.data())
def test_a_join_agrees_with_a_dictionary(ours, data):
    """Exact ids, in any order, with strangers and duplicates among them."""
    ours = list(dict.fromkeys(ours))
    theirs = data.draw(st.lists(st.one_of(st.sampled_from(ours), names), max_size=20))
    frame = pd.DataFrame({"image_id": ours, "path": [f"p/{one}.png" for one in ours]})
    found = match_ids(np.array([*theirs, ours[0]], dtype=object), frame)
    first = {}
    for place, one in enumerate([*theirs, ours[0]]):
        first.setdefault(one, place)
    assert found.place.tolist() == [first.get(one, -1) for one in ours]
    assert len(found.extra) == sum(one not in ours for one in theirs)
    assert len(found.repeated) == len(theirs) + 1 - len(found.extra) - (found.place >= 0).sum()
    assert all(first[theirs[k] if k < len(theirs) else ours[0]] == found.place[row] for k, row in zip(found.repeated, found.owner, strict=True))  # fmt: skip


def find(root, ids, values, frame=None, **more):
    np.savez(root / "e.npz", ids=np.array(ids, dtype=str), embeddings=values)
    model = build({**ENTRY, "file": "e.npz", **more})
    return model, *model.find(cohort() if frame is None else frame)


def test_missing_images_stop_the_job_or_are_left_out_and_counted(root):
    ids, values = ids_of(cohort()), vectors()
    said = r"2 of 6 images of the cohort have no vector \(2 in test\), e.g. '00000004_000.png'"
    with pytest.raises(MedauditError, match=said):
        find(root, [*ids[:4], "stranger"], values[:5])
    model, found, kept = find(root, [*ids[:4], "stranger"], values[:5], missing="leave_out")
    assert found.tolist() == cohort()["image_id"].tolist()[:4] and (kept == values[:4]).all()
    assert "4 of 6 images have a vector, 2 have none; 1 vectors are of other" in model.notes[0]


def test_duplicates_must_be_the_same_vector(root):
    ids, values = ids_of(cohort()), vectors()
    model, _, kept = find(root, [*ids, ids[2]], np.concatenate([values, values[2:3]]))
    assert (kept == values).all() and "1 are duplicates of the same vector" in model.notes[0]
    with pytest.raises(
        MedauditError, match="1 ids are duplicate, with different vectors, e.g. '00000002_000'"
    ):
        find(root, [*ids, ids[2]], np.concatenate([values, values[3:4]]))


@pytest.mark.parametrize("bad, said", [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (1e300, "too large for float32")])  # fmt: skip
def test_values_that_are_not_finite_name_their_images(root, bad, said):
    values = vectors().astype(float)
    values[3, 1] = bad
    with pytest.raises(MedauditError, match=f"vectors of 1 of 6 images are {said}, e.g. of '00000003_000.png'"):  # fmt: skip
        find(root, ids_of(cohort()), values)


def test_constant_columns_are_said_and_a_constant_file_is_refused(root):
    values = vectors()
    values[:, 2] = 7
    model, _, _ = find(root, ids_of(cohort()), values)
    assert "1 of 4 columns are constant" in model.notes and "embeddings: float32, [6, 4]" in model.notes  # fmt: skip
    with pytest.raises(MedauditError, match="every image has the same vector"):
        find(root, ids_of(cohort()), np.ones((COUNT, LENGTH)))


def test_no_id_in_common_shows_both_sides(root):
    with pytest.raises(MedauditError, match=r"none of its 6 ids \('a0'.*\) is an image of the cohort \('00000000_000.png'"):  # fmt: skip
        find(root, [f"a{k}" for k in range(COUNT)], vectors())


def objects(root):
    np.savez(root / "e.npz", ids=np.array(["a", "b"], dtype=object), embeddings=np.ones((2, 3)))
    return "pickled objects, which could run code: refused.*dtype=str"


def no_ids(root):
    np.savez(root / "e.npz", embeddings=np.ones((2, 3)), other=np.ones((2, 2)))
    return "no array of ids; it has embeddings, other"


def other_count(root):
    np.savez(root / "e.npz", ids=["a", "b"], embeddings=np.ones((3, 3)))
    return "3 vectors and 2 ids"


def several(root):
    np.savez(root / "e.npz", ids=["a", "b"], layer1=np.ones((2, 3)), layer2=np.ones((2, 3)))
    return "which part of the file holds the vectors.*'layer1', 'layer2'"


def texts(root):
    np.savez(root / "e.npz", ids=["a", "b"], embeddings=np.array([["x"], ["y"]]))
    return "embeddings has the type <U1, not numbers"


def cut_off(root):
    np.savez(root / "e.npz", ids=["a", "b"], embeddings=np.ones((2, 3)))
    (root / "e.npz").write_bytes((root / "e.npz").read_bytes()[:-30])
    return "not a valid .npz file"


@pytest.mark.parametrize("write", [objects, no_ids, other_count, several, texts, cut_off])
def test_a_wrong_archive_is_found_before_any_job(root, write):
    said = write(root)
    (problem,) = check_vectors({"theirs": {**ENTRY, "file": "e.npz"}})
    with pytest.raises(AssertionError, match=f"model theirs: .*{said}"):
        raise AssertionError(problem)


@pytest.mark.parametrize("name", ["e.parquet", "e.h5", "e.tfrecord", "e.npy", "e.pkl", "none.npz"])
def test_garbage_and_unknown_files_are_refused_with_their_name(root, name):
    if name != "none.npz":
        (root / name).write_bytes(b"garbage" * 9)
    (problem,) = check_vectors({"theirs": {**ENTRY, "file": name, "ids": "i.txt"}})
    assert str(root / name) in problem and "model theirs" in problem


@pytest.mark.parametrize("place", [2, 9, 20, -2])
def test_a_flipped_bit_in_a_tfrecord_is_found(root, place):
    write_tfrecord(root, ids_of(cohort()), vectors())
    content = bytearray((root / "e.tfrecord").read_bytes())
    content[place] ^= 4
    (root / "e.tfrecord").write_bytes(content)
    with pytest.raises(MedauditError, match="e.tfrecord is not a valid TFRecord.*(checksum|announces)"):  # fmt: skip
        build({**ENTRY, "file": "e.tfrecord"}).find(cohort())


def test_a_truncated_tfrecord_is_found(root):
    write_tfrecord(root, ids_of(cohort()), vectors())
    content = (root / "e.tfrecord").read_bytes()
    (root / "e.tfrecord").write_bytes(content[:-7])
    with pytest.raises(MedauditError, match="truncated"):
        build({**ENTRY, "file": "e.tfrecord"}).find(cohort())


def test_a_link_to_another_file_is_not_followed(root):
    write_hdf5(root, ids_of(cohort()), vectors())
    with h5py.File(root / "link.h5", "w") as file:
        file["ids"] = [one.encode() for one in ids_of(cohort())]
        file["embeddings"] = h5py.ExternalLink("e.h5", "train/features")
    (problem,) = check_vectors({"theirs": {**ENTRY, "file": "link.h5"}})
    assert "embeddings" not in problem.split("it has")[-1] and "link.h5" in problem


def test_another_file_than_the_pinned_one_is_refused(root):
    np.savez(root / "e.npz", ids=ids_of(cohort()), embeddings=vectors())
    with pytest.raises(MedauditError, match="has SHA-256 .*, the catalogue says 0000"):
        build({**ENTRY, "file": "e.npz", "sha256": "0" * 64})
