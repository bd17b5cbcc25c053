import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from medaudit.core.atomic import atomic
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import EMBEDDINGS, write_array, write_table

HALF = """
import sys, time
from pathlib import Path
from medaudit.core.atomic import atomic
with atomic(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    time.sleep(60)
"""


def kill_while_writing(path) -> str:
    """Start a process that writes `path`, kill it in the middle, and return its temporary file."""
    command = [sys.executable, "-c", HALF, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        name = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
    return name


def test_what_a_killed_writer_left_is_never_taken_and_goes_with_the_next_write(tmp_path):
    path = tmp_path / "table [1].csv"
    path.write_text("before")
    left = kill_while_writing(path)
    assert path.read_text() == "before"
    assert (tmp_path / left).read_text() == "half"
    with atomic(path) as temporary:
        assert temporary.name == left
        assert temporary.read_bytes() == b""
        temporary.write_text("after")
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_of_one_path_at_once_never_mix(tmp_path):
    path, wrong = tmp_path / "a.npy", []

    def write(value: int) -> None:
        for _ in range(30):
            write_array(np.full(5000, value), path)
            read = np.load(path)
            if len(set(read.tolist())) != 1:
                wrong.append(read)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list(tmp_path.iterdir()) == [path]


def test_two_processes_that_write_one_path_have_files_of_their_own(tmp_path):
    path = tmp_path / "a.txt"
    command = [sys.executable, "-c", HALF, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        other = process.stdout.readline().strip()
        with atomic(path) as temporary:
            assert temporary.name != other
            temporary.write_text("mine")
        assert path.read_text() == "mine"
        assert (tmp_path / other).read_text() == "half"
        process.kill()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_is_named_with_what_to_do(tmp_path, code):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(MedauditError) as caught, atomic(path):
        raise OSError(code, os.strerror(code))
    said = str(caught.value)
    assert str(path) in said
    assert os.strerror(code) in said
    assert "run the same command again" in said
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_other_errors_keep_their_type(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "a.txt"):
        (tmp_path / "nowhere").read_text()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full_is_said_by_whatever_library_writes(small_disk):
    import torch
    from safetensors.torch import save_file

    large = np.random.default_rng(0).normal(size=(400, 300)).astype(np.float32)
    tensors = {"a": torch.from_numpy(large)}
    frame = pd.DataFrame({"image_id": [str(i) for i in range(400)], "embedding": list(large)})

    def with_atomic(save):
        with atomic(small_disk / "a.bin") as temporary:
            save(temporary)

    writers = [
        lambda: write_array(large, small_disk / "a.npy"),
        lambda: write_table(frame, small_disk / "a.parquet", EMBEDDINGS),
        lambda: with_atomic(lambda path: torch.save(tensors, path)),
        lambda: with_atomic(lambda path: save_file(tensors, path)),
    ]
    for write in writers:
        with pytest.raises(MedauditError, match="cannot write .*free disk space"):
            write()
        assert list(small_disk.iterdir()) == []
    write_array(large[:100], small_disk / "a.npy")
    assert (np.load(small_disk / "a.npy") == large[:100]).all()


def test_a_killed_writer_lets_go_at_once(tmp_path):
    path = tmp_path / "a.txt"
    began = time.monotonic()
    kill_while_writing(path)
    with atomic(path) as temporary:
        temporary.write_text("x")
    assert time.monotonic() - began < 30
