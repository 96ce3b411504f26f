"""The benchmark of plans of many files at toy size."""

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


@pytest.mark.long
def test_plans_with_and_without_a_manifest_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import manifest

    manifest.main(["--images", "4", "--rounds", "1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "manifest.json").read_text())
    assert list(found["rows"]) == [manifest.EMPTY, manifest.FILES, manifest.LISTED] and found["files"] == 11
    assert all(row["processor_s"] > 0 for row in found["rows"].values())
    assert "11 files that have not changed" in (tmp_path / "manifest.md").read_text()
