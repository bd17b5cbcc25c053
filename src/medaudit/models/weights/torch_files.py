"""Read torch's weights files: zip archives, TorchScript archives, and the stream of older versions."""

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from medaudit.core.errors import MedauditError
from medaudit.core.pickle_limits import Budget
from medaudit.models.weights.pickles import LARGEST_PICKLE, unpickle

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


def read_torch(path: Path) -> object:
    """Return the content of a torch or TorchScript file, other objects replaced by `StandIn`.

    Raises
    ------
    MedauditError
        The file is not a torch file, is damaged, or would run code.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with path.open("rb") as stream:
            return _read_legacy(stream, path)
    except MedauditError:
        raise
    except Exception as error:
        raise MedauditError(
            f"{path} cannot be read as a torch file ({type(error).__name__}: {error}); "
            "it is damaged or has another format: download it again"
        ) from error


def _read_zip(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise MedauditError(
                f"{path} is a zip archive but not a torch file (it contains "
                f"{', '.join(sorted(members)[:5])} ...): if a weights file is packed in it, unpack it"
            )
        folder = pickles[0].removesuffix("data.pkl")
        order = members.get(f"{folder}byteorder")
        if order is not None and (order.file_size > 16 or archive.read(order) != b"little"):
            raise MedauditError(f"{path} was written on a big-endian machine: convert it")
        storages: dict[str, torch.Tensor] = {}
        budget = Budget(path.stat().st_size)

        def storage(identity: tuple) -> torch.Tensor:
            _, dtype, key, _, count = identity
            if key not in storages:
                info = members[f"{folder}data/{key}"]
                content = _stored(archive, info, path)
                budget.spend(len(content))  # members of a malicious zip file can overlap
                storages[key] = _flat(content, dtype, count)
            return storages[key]

        info = members[pickles[0]]
        if info.file_size > min(LARGEST_PICKLE, path.stat().st_size):
            raise MedauditError(f"{path}: its pickle claims {info.file_size} bytes: refused")
        return unpickle(io.BytesIO(archive.read(info)), path, storage)


def _stored(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    """Return an uncompressed member, as torch writes them; a compressed one could be a zip bomb."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > path.stat().st_size:
        raise MedauditError(f"{path}: {info.filename} is compressed or larger than the file")
    return archive.read(info)


def _flat(content: bytes, dtype: torch.dtype, count: int) -> torch.Tensor:
    if len(content) < count * dtype.itemsize:
        raise ValueError(f"a storage has {len(content)} bytes, but {count} x {dtype} are announced")
    if count == 0:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(content), dtype=dtype, count=count)


def _read_legacy(stream: BinaryIO, path: Path) -> object:
    """Read torch's format before version 1.6.

    It is a stream of pickles: magic number, protocol, system, the objects, and the list of storage
    keys. The numbers follow, in the order of that list; so storages are first reserved, then
    filled.
    """

    def refuse(identity: tuple) -> torch.Tensor:
        raise ValueError(f"{identity} comes before the tensors")

    def plain() -> Any:
        return unpickle(stream, path, refuse)

    if plain() != _LEGACY_MAGIC or plain() != _LEGACY_PROTOCOL:
        raise MedauditError(
            f"{path} is not a torch file (wrong magic number): download the owner's file again"
        )
    if not plain().get("little_endian", True):
        raise MedauditError(f"{path} was written on a big-endian machine: convert it")
    largest, flats = path.stat().st_size, {}

    def storage(identity: tuple) -> torch.Tensor:
        _, dtype, key, _, count, view = identity
        if view is not None:
            raise ValueError("storage views are not supported")
        if key not in flats:
            if not 0 <= count * dtype.itemsize <= largest:
                raise ValueError(f"storage {key} claims {count} x {dtype}")
            flats[key] = torch.empty(count, dtype=dtype)
        return flats[key]

    result = unpickle(stream, path, storage)
    for key in plain():
        _fill(stream, flats[key])
    return result


def _fill(stream: BinaryIO, flat: torch.Tensor) -> None:
    count = int.from_bytes(stream.read(8), "little")
    content = stream.read(count * flat.dtype.itemsize) if count == flat.numel() else b""
    if count != flat.numel() or len(content) != count * flat.dtype.itemsize:
        raise ValueError(f"a storage of {flat.numel()} values is truncated or has another length")
    if count:
        flat.copy_(_flat(content, flat.dtype, count))
