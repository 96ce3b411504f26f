"""Claims among machines that share a store, without the locks of its file system."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from pathlib import Path

import pytest
from fake_stages import MakePlan, stage
from filelock import FileLock

from wsss_lightning import pipeline
from wsss_lightning.pipeline import leases, store
from wsss_lightning.pipeline.leases import elsewhere, leased


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "EVERY", 0.02)
    monkeypatch.setattr(leases, "LOST_AFTER", 0.3)
    monkeypatch.setattr(leases, "_LOOK", 0.01)
    monkeypatch.setattr(leases.os, "fsync", lambda _: None)  # a busy disk takes longer than such a dead one has


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every thread is a machine of its own."""
    monkeypatch.setattr(leases, "_machine", lambda: threading.current_thread().name)


def _claimed(path: Path, log: list[str], *, alone: bool = True, hold: float = 0.0) -> None:
    with leased(path, alone=alone):
        log.append("in")
        time.sleep(hold)
        log.append("out")


def _at_once(path: Path, count: int, *, hold: float, alone: bool = True) -> list[str]:
    log: list[str] = []
    threads = [
        threading.Thread(target=_claimed, args=(path, log), kwargs={"hold": hold, "alone": alone}, name=f"m{n}")
        for n in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return log


def test_of_several_machines_one_holds_a_claim_for_as_long_as_it_lives(
    machines: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LOST_AFTER", 1.0)  # a busy machine may leave a thread waiting for a while
    path = tmp_path / "key.lease"
    assert _at_once(path, 3, hold=1.2) == ["in", "out"] * 3, "each for longer than a dead one would be waited for"
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_machine_claimed_is_taken_over_by_one_alone(machines: None, tmp_path: Path) -> None:
    path = tmp_path / "key.lease"
    leases._made(path, {"machine": "dead", "host": "dead", "process": 1, "id": "x"})
    assert elsewhere(path)
    start = time.monotonic()
    assert _at_once(path, 4, hold=0.05) == ["in", "out"] * 4
    assert time.monotonic() - start > 0.3
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_killed_while_it_took_over_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "key.lease"
    path.write_text("")  # killed before it had written
    path.with_suffix(".takeover").mkdir()
    with leased(path, alone=True):
        assert not path.with_suffix(".takeover").exists()
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_of_this_machine_left_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LOST_AFTER", 3600.0)
    path = tmp_path / "key.lease"
    leases._made(path, {"machine": leases._machine(), "host": "here", "process": 1, "id": "x"})
    assert not elsewhere(path)
    with leased(path, alone=True):
        pass
    assert not path.exists()


@pytest.mark.parametrize(
    "taken, said",
    [
        (True, "other heard nothing of this process for 0 s and computes key, too; both write the same bits"),
        (False, "{} was deleted: another job may compute key, too; both write the same bits"),
    ],
)
def test_a_claim_that_is_lost_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, taken: bool, said: str
) -> None:
    path = tmp_path / "key.lease"
    monkeypatch.setattr(leases, "EVERY", 0.2)  # both steps fall between two signs of life
    with caplog.at_level(logging.ERROR), leased(path, alone=True):
        path.unlink()
        if taken:
            leases._made(path, {"machine": "other", "host": "other", "process": 1, "id": "x"})
        deadline = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
    assert caplog.messages == [said.format(path)]
    assert elsewhere(path) is taken, "its claim is left alone"


@pytest.mark.parametrize("error", [NotImplementedError(), OSError(errno.ENOLCK, "no locks")])
def test_a_file_system_without_locks_has_claims_alone(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", refuse)
    plan = make_plan({"only": stage("write", value=1)})
    assert pipeline.run(plan) == {"value": 1.0}
    with store.locked(plan.final.folder):
        (lease,) = (plan.final.folder.parent / ".locks").iterdir()
        monkeypatch.setattr(leases, "_machine", lambda: "another")
        assert lease.suffix == ".lease" and str(os.getpid()) in lease.read_text()
        assert store.in_progress(plan.final.folder)
