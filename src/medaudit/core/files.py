"""Files of the user: the folder that relative paths belong to, and SHA-256 hashes."""

import hashlib
import os
from pathlib import Path


def data_root() -> Path:
    """Return the folder to which relative data paths belong: ``$MEDAUDIT_DATA`` or ``data``."""
    return Path(os.environ.get("MEDAUDIT_DATA", "data"))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
