from __future__ import annotations

import logging

import pytest

from wsss_lightning import progress
from wsss_lightning.progress import counter, display, track


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Every report is a line, since no terminal is at hand here."""
    monkeypatch.setattr(progress, "_LINE_EVERY", 0.0)
    caplog.set_level(logging.INFO)


@pytest.mark.usefixtures("at_once")
def test_a_log_file_is_told_how_far_a_loop_is(caplog: pytest.LogCaptureFixture) -> None:
    assert list(track("abc", description="regions", total=3)) == ["a", "b", "c"]
    with counter("unpacking", total=1200) as report:
        report(1000)
    lines = [record.getMessage().strip() for record in caplog.records]
    assert lines[0] == "regions: 1 of 3"
    assert lines[1].startswith("regions: 2 of 3") and lines[-1] == "unpacking: 1,000 of 1,200"
    assert all("left" in line for line in lines[2:-1])


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("enabled", [True, False])
def test_nothing_is_told_where_it_is_not_asked_for_or_not_begun(
    caplog: pytest.LogCaptureFixture, enabled: bool
) -> None:
    bar = display(enabled)
    if not enabled:
        bar.start()
    bar.report(bar.add_task("regions", total=3), 1)
    assert not caplog.records


def test_a_loop_of_less_than_a_minute_says_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    list(track("abc", description="regions", total=3))
    assert not caplog.records and capfd.readouterr() == ("", "")
