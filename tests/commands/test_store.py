"""`wsss store` on a store of three stages: first <- second, and first <- other."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_stages import stage
from typer.testing import CliRunner

from wsss_lightning import pipeline
from wsss_lightning.cli import app
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.archive import import_archive
from wsss_lightning.pipeline.planning import plan_config
from wsss_lightning.pipeline.store import locked

Call = Callable[..., str]
DAY = 86_400


@pytest.fixture
def plans(tmp_path: Path) -> dict[str, pipeline.Plan]:
    """Finished: `second` is used by a job of a sweep, `other` by nothing; all are two days old."""
    from omegaconf import OmegaConf

    stages = {name: stage("write", value=name, previous="${artifact:first}") for name in ("second", "other")}
    content = {"paths": {"store": str(tmp_path / "runs" / "store")}, "stages": {"first": stage("write"), **stages}}
    made = {name: plan_config(OmegaConf.create({**content, "result": name})) for name in ("second", "other")}
    for plan in made.values():
        pipeline.run(plan)
    job = tmp_path / "runs" / "sweeps" / "x" / "0"
    job.mkdir(parents=True)
    used = {name: str(planned.folder) for name, planned in made["second"].stages.items()}
    (job / "stages.json").write_text(json.dumps(used))
    for path in (tmp_path / "runs" / "store").glob("*/stage.json"):
        os.utime(path, (path.stat().st_mtime - 2 * DAY,) * 2)
    return made


@pytest.fixture
def call(tmp_path: Path, plans: dict[str, pipeline.Plan]) -> Call:
    """Call a command on that store, or on one of another machine; returns what it printed."""

    def invoke(*arguments: str, root: str = "runs") -> str:
        where = ["--store", str(tmp_path / root / "store")]
        ended = CliRunner().invoke(app, ["store", *arguments, *where], catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return ended.output

    return invoke


def _names(root: Path) -> set[str]:
    return {path.parent.name.partition("-")[0] for path in (root / "store").glob("*/stage.json")}


def test_ls_says_what_a_stage_is_how_large_and_who_used_it(call: Call, plans: dict[str, pipeline.Plan]) -> None:
    lines = call("ls").splitlines()
    size = sum(path.stat().st_size for path in plans["second"].final.folder.iterdir())
    shown = next(line for line in lines if "second-" in line)
    assert shown.split()[:2] == ([f"{size / 1e3:.1f}", "kB"] if size >= 1000 else [str(size), "B"])
    assert plans["second"].final.folder.name in shown and "write" in shown and "(used by x/0)" in shown
    assert "no run refers to it" in next(line for line in lines if "other-" in line)
    assert ": 3 stages, " in lines[-1] and ": 1 stages, " in call("ls", "first")


def test_gc_removes_what_nothing_refers_to_and_only_when_told(call: Call, tmp_path: Path) -> None:
    assert "other-" in (dry := call("gc")) and "first-" not in dry and "second-" not in dry
    assert "1 stages" in dry and "nothing was deleted, add --yes" in dry
    assert "0 stages" in call("gc", "--days", "3"), "young results stay"
    assert _names(tmp_path / "runs") == {"first", "second", "other"}
    assert "1 stages deleted" in call("gc", "--yes") and _names(tmp_path / "runs") == {"first", "second"}


def test_gc_keeps_what_unfinished_stages_and_given_overrides_need(
    call: Call, tmp_path: Path, plans: dict[str, pipeline.Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "sweeps" / "x" / "0" / "stages.json").unlink()
    (plans["second"].final.folder / "stage.json").unlink()
    assert "first-" not in (found := call("gc")) and "second-" not in found and "other-" in found
    monkeypatch.setattr(pipeline, "plan", lambda overrides: plans[overrides[0].removeprefix("result=")])
    assert "0 stages" in call("gc", "--keep", "result=other")


def test_rm_takes_readers_along_only_when_told(call: Call, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(second|other)-.* and 1 more stages read these: add --downstream"):
        call("rm", "first")
    assert "3 stages" in call("rm", "first", "--downstream") and len(_names(tmp_path / "runs")) == 3
    call("rm", "first", "--downstream", "--yes")
    assert _names(tmp_path / "runs") == set() and ": 0 stages" in call("ls")
    with pytest.raises(InputError, match="holds no stage first"):
        call("rm", "first")


def test_a_stage_in_progress_stays(call: Call, tmp_path: Path, plans: dict[str, pipeline.Plan]) -> None:
    with locked(plans["other"].final.folder):
        assert "is being computed and stays" in call("rm", "other", "--yes")
    assert "other" in _names(tmp_path / "runs")


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_sweep_moves_to_another_machine(call: Call, tmp_path: Path, name: str) -> None:
    archive, sweep = str(tmp_path / name), str(tmp_path / "runs" / "sweeps" / "x")
    assert "2 stages" in call("export", archive, sweep)
    assert "3 taken over" in call("import", archive, root="b")
    assert _names(tmp_path / "b") == {"first", "second"} and (tmp_path / "b" / "sweeps" / "x" / "0").is_dir()
    assert "2 whole, 0 damaged" in call("verify", root="b")
    assert "0 taken over" in call("import", archive, root="b") and not list((tmp_path / "b" / "store").glob(".imp*"))


def test_an_archive_that_was_packed_again_by_hand_is_taken(call: Call, tmp_path: Path) -> None:
    call("export", str(tmp_path / "own.tar"), "other")
    with tarfile.open(tmp_path / "own.tar") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    with tarfile.open(tmp_path / "again.tar", "w") as tar:
        tar.add(tmp_path / "unpacked", arcname=".")
    assert "taken over" in call("import", str(tmp_path / "again.tar"), root="b")


def test_a_stage_moves_with_or_without_what_it_read(call: Call, tmp_path: Path) -> None:
    call("export", str(tmp_path / "with.tar"), "other")
    call("export", str(tmp_path / "without.tar"), "other", "--no-upstream")
    call("import", str(tmp_path / "without.tar"), root="b")
    assert _names(tmp_path / "b") == {"other"}
    assert "1 taken over" in call("import", str(tmp_path / "with.tar"), root="b")
    with pytest.raises(InputError, match=r"with\.tar exists"):
        call("export", str(tmp_path / "with.tar"), "other")


def _tar(path: Path, member: tarfile.TarInfo, content: bytes = b"") -> None:
    member.size = len(content)
    with tarfile.open(path, "w") as tar:
        tar.addfile(member, io.BytesIO(content))


def _text(path: Path, _call: Call) -> None:
    path.write_text("no tar")


def _named(name: str) -> Callable[[Path, Call], None]:
    return lambda path, _call: _tar(path, tarfile.TarInfo(name), b"x")


def _changed(path: Path, call: Call) -> None:
    call("export", str(path), "other", "--no-upstream")
    with tarfile.open(path, "a") as tar:
        name = next(name for name in tar.getnames() if name.endswith("/given.json"))
        (member := tarfile.TarInfo(name)).size = 1
        tar.addfile(member, io.BytesIO(b"x"))


def _link(path: Path, _call: Call) -> None:
    (member := tarfile.TarInfo("store/a")).type = tarfile.SYMTYPE
    member.linkname = "/etc"
    _tar(path, member)


WRONG: list[tuple[Callable[[Path, Call], object], str]] = [
    (_text, "cannot be read as an archive"),
    (_named("../a"), r"holds \.\./a"),
    (_named("/store/a"), "holds /store/a"),
    (_named("store/a/b"), "no stage.json"),
    (_link, "holds store/a"),
    (_changed, "is damaged"),
]


def test_an_archive_that_is_not_there_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file .*x\.tar: give one that wsss store export wrote\."):
        import_archive(tmp_path / "x.tar", tmp_path / "store", tmp_path)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("write", "sentence"), WRONG)
def test_a_wrong_archive_is_refused_whole(
    call: Call, tmp_path: Path, write: Callable[[Path, Call], object], sentence: str
) -> None:
    write(tmp_path / "a.tar", call)
    with pytest.raises(InputError, match=sentence):
        call("import", str(tmp_path / "a.tar"), root="b")
    assert not list((tmp_path / "b" / "store").iterdir()) and not (tmp_path / "a").exists()
