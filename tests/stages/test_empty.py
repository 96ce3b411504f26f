import pytest

from wsss_lightning.stages.empty import report_empty


@pytest.mark.parametrize(("empty", "warned"), [(0, False), (5, False), (6, True)])
def test_more_than_five_per_cent_warn(empty: int, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    assert report_empty(empty, 100, what="masks of train") == empty / 100
    assert ("of 100 masks of train are empty" in caplog.text) == warned


def test_nothing_is_not_empty() -> None:
    assert report_empty(0, 0, what="maps") == 0
