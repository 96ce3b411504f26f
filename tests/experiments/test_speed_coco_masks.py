"""The benchmark of COCO's label maps at toy size: it runs, and its page is written."""

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "speed"


def test_the_page_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr("measurement._MATMUL", 16)
    monkeypatch.setattr("measurement._COPIED", 1024)
    import coco_masks

    arguments = "--images 3 --parsed 4 --rounds 1 --processes 1 --out"
    coco_masks.main([*arguments.split(), str(tmp_path)])
    found = json.loads((tmp_path / "coco_masks.json").read_text())
    assert found["rows"].keys() == {"paint", "paint, as a loop over pycocotools' masks", "write the PNG"}
    assert found["parsing"]["images"] == 4 and len(found["whole"]["1"]) == 1
    page = (tmp_path / "coco_masks.md").read_text()
    assert "| write the PNG |" in page and "all 123,287 of train2014 and val2014 would take" in page
    assert str(tmp_path) not in page
