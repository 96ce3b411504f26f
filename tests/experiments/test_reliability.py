"""The campaigns against the store: what they compare and count, and short ones of every method."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsss_lightning.atomic import write_json
from wsss_lightning.pipeline.contents import listed

FOLDER = Path(__file__).parents[2] / "experiments" / "reliability"
METHODS = ("points", "priors", "coseg", "patches", "cam")


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(FOLDER))
    before = os.environ.copy()
    yield
    os.environ.clear()  # a campaign sets threads, and what SLURM would
    os.environ.update(before)


def _store(folder: Path) -> Path:
    """A store of one finished stage with two files."""
    stage = folder / "only-0123"
    (stage / "masks").mkdir(parents=True)
    for name in ("node.json", "masks/a.png"):
        (stage / name).write_text("content")
    mappings: dict[str, dict[str, str]] = {name: {} for name in ("upstream", "metrics", "card", "sources")}
    record = {"stage": "only", "key": "0123", "node": {"_target_": "builtins.dict"}, **mappings}
    write_json(stage / "stage.json", {**record, **listed(stage)})
    return folder


def test_files_that_differ_are_missing_or_should_not_be_there_are_named(tmp_path: Path) -> None:
    from stores import compare

    one, other = _store(tmp_path / "one"), _store(tmp_path / "other")
    assert compare(one, other).as_json() == {"equal": 2, "differ": [], "surplus": []}
    (other / "only-0123" / "masks" / ".writing-1").mkdir()
    (other / "only-0123" / "masks" / ".writing-1" / "b.png").touch()
    (other / "only-0123" / "masks" / "a.png").write_text("CONTENT")  # of the same size, and other than its record says
    found = compare(one, other)
    assert found.surplus == ["only-0123/masks/.writing-1/b.png"]
    assert found.differ == ["only-0123/masks/a.png is lost or changed"]
    shutil.rmtree(other / "only-0123")
    assert compare(one, other).differ == ["only-0123/masks/a.png", "only-0123/node.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_processes_of_a_session_are_counted_and_ended() -> None:
    from growth import _family
    from stores import members, outlived

    job = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    assert members(job.pid) == [job.pid] and job.pid in _family(os.getpid())
    assert outlived(job.pid, seconds=0) == 1
    job.wait()
    assert outlived(job.pid, seconds=0) == 0


def test_growth_is_seen() -> None:
    from growth import summary

    flat = [(done, 100, 7) for done in range(0, 100, 5)]
    assert summary(flat, 100)["flat"]
    assert not summary([(done, 100 + done, 7) for done, *_ in flat], 100)["flat"]
    assert not summary([(done, 100, 7 + done) for done, *_ in flat], 100)["flat"]


@pytest.mark.long
@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_is_killed_again_and_again_gives_the_same_bits(tmp_path: Path, method: str) -> None:
    import kills

    assert kills.main([method, "--kills", "6", "--out", str(tmp_path), "--work", str(tmp_path / "work")]) == 0


@pytest.mark.long
@pytest.mark.parametrize("how", ["term,interrupt", "preempted,warned"])
def test_signals_end_a_run_and_leave_no_process(tmp_path: Path, how: str) -> None:
    import kills

    arguments = ["points", "--how", how, "--kills", "4", "--work", str(tmp_path / "work")]
    assert kills.main([*arguments, "--out", str(tmp_path)]) == 0


@pytest.mark.long
def test_runs_that_must_agree_do(tmp_path: Path) -> None:
    import runs

    assert runs.main(["points", "--work", str(tmp_path / "work"), "--out", str(tmp_path)]) == 0


@pytest.mark.long
def test_memory_and_open_files_stay_flat(tmp_path: Path) -> None:
    import growth

    assert growth.main(["--out", str(tmp_path)]) == 0
