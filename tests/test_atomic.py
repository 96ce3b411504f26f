from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from wsss_lightning.atomic import replace_file, storage_fault, sweep, with_nan, write_json
from wsss_lightning.errors import InputError


def test_a_file_is_written_where_no_glob_of_its_folder_finds_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("old")

    def write(path: Path) -> None:
        path.write_text("new")
        assert [found.name for pattern in ("*.png", "[!.]*") for found in tmp_path.glob(pattern)] == ["a.png"] * 2
        assert path.name == "a.png" and (tmp_path / "a.png").read_text() == "old"

    replace_file(tmp_path / "a.png", write)
    assert (tmp_path / "a.png").read_text() == "new" and _names(tmp_path) == ["a.png"]


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("half")
        raise KeyError("of ours")

    with pytest.raises(KeyError, match="of ours"):
        replace_file(tmp_path / "sub" / "a.png", write)
    assert _names(tmp_path / "sub") == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_have_the_permissions_of_the_umask_whoever_writes_them(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "a.safetensors", lambda path: save_file({"a": np.zeros(2)}, path))
        replace_file(tmp_path / "a.txt", lambda path: path.write_text("a"))
    finally:
        os.umask(before)
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in _names(tmp_path)} == {
        "a.safetensors": mode,
        "a.txt": mode,
    }


def test_what_killed_processes_leave_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    for name in (".writing-x1/a.png", "a.png", ".kept", ".a.4542.safetensors", ".stage.json.7.tmp", "b.1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    sweep(tmp_path)
    sweep(tmp_path / "nowhere")
    assert _names(folder) == [".kept", "a.png", "b.1.png"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_refuses_is_named_with_the_file(tmp_path: Path, number: int) -> None:
    def write(path: Path) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(InputError, match=rf"a\.png cannot be written \({os.strerror(number)}\): make room"):
        replace_file(tmp_path / "a.png", write)


def test_what_comes_from_the_disk() -> None:
    assert storage_fault(RuntimeError("I/O error: No space left on device (os error 28)")) == "No space left on device"
    assert storage_fault(OSError(errno.ENOENT, "No such file")) is None and storage_fault(KeyError("a")) is None
    assert storage_fault(InputError("No space left on device: make room.")) is None


def test_json_is_strict_and_numbers_come_back(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    metrics = {"a": float("nan"), "b": 0.5, "c": [float("inf"), (1, -float("inf"))], "d": {"e": float("nan")}}
    write_json(tmp_path / "metrics.json", metrics)
    read = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=refuse)
    assert read == {"a": None, "b": 0.5, "c": [None, [1, None]], "d": {"e": None}}
    back = with_nan({"a": read["a"], "b": read["b"]})
    assert back["a"] != back["a"] and back["b"] == 0.5


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
