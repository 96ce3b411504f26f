"""Pages that say speed results say what is committed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "speed"
# A row of docs/scale.md: which results, and the keys of those whose sum it is.
AN_IMAGE: dict[str, tuple[str, list[list[Any]]]] = {
    "60 points by diverse sampling": ("points_images", [["rows", "sampling: ColumnSimilarity", "median_s"]]),
    "crisp boundaries (50 vectors) and regions": (
        "priors",
        [
            ["times", "crisp boundaries, 50 eigenvectors", "processor_s"],
            ["times", "regions between them", "processor_s"],
        ],
    ),
    "dense CRF, 500 x 375 px, 21 labels": ("priors", [["times", "CRF of pairs", "processor_s"]]),
    "co-segmentation": ("cosegment", [["runs", -1, "seconds_an_image"]]),
}
HOURS = {"h": 1, "days": 24}


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def _number(found: Any, path: list[Any]) -> float:
    for step in path:
        found = found[step]
    return float(found)


@pytest.mark.parametrize("what", AN_IMAGE)
def test_what_an_image_costs_is_what_was_measured(what: str) -> None:
    program, paths = AN_IMAGE[what]
    found = json.loads((FOLDER / "results" / f"{program}.json").read_text())
    seconds = sum(_number(found, path) for path in paths)
    (line,) = re.findall(rf"^\| {re.escape(what)}.*$", (ROOT / "docs" / "scale.md").read_text(), re.MULTILINE)
    _, measured, _, *totals = line.strip("| ").split(" | ")
    assert measured == f"{seconds:.2f} s"
    for images, total in zip((10_582, 82_783, 10_000_000), totals, strict=True):
        number, unit = total.split()
        assert float(number) * HOURS[unit] == pytest.approx(seconds * images / 3600, rel=0.05)


def test_all_places_say_what_is_committed(tmp_path: Path) -> None:
    import quoted

    for page, _ in quoted.PLACES.values():
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text((ROOT / page).read_text(encoding="utf-8"), encoding="utf-8")
    quoted.main(["--root", str(tmp_path)])
    for page, _ in quoted.PLACES.values():
        assert (tmp_path / page).read_text(encoding="utf-8") == (ROOT / page).read_text(encoding="utf-8"), page


def test_sizes_and_times_are_rounded_to_read() -> None:
    import quoted

    assert [quoted._bytes(number) for number in (5.93e6, 62.8e9, 491e9, 1.18e12)] == [
        "5.9 MB",
        "63 GB",
        "491 GB",
        "1.2 TB",
    ]
    assert [quoted._time(hours * 3600) for hours in (3.84, 29.7, 3583)] == ["3.8 h", "30 h", "149 days"]


def test_a_page_without_its_markers_is_told() -> None:
    import quoted

    text = "takes <!-- speed: points -->1 minute<!-- /speed -->, so"
    assert quoted.quoted("points", text, "2 minutes") == text.replace("1 minute", "2 minutes")
    with pytest.raises(ValueError, match=r"experiments/points/README\.md has the markers of points 0 times"):
        quoted.quoted("points", "takes 1 minute", "2 minutes")
