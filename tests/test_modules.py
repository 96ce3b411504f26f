"""docs/modules.md: its lines run, in order, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

TEXT = (Path(__file__).parents[1] / "docs" / "modules.md").read_text(encoding="utf-8")
FIRST, *METHODS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modules")


@pytest.mark.parametrize(("name", "code"), zip(("cam", "points", "priors", "coseg", "patches"), METHODS, strict=True))
def test_the_lines_of_a_method_run(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    monkeypatch.chdir(folder)
    spaces: dict[str, Any] = {}
    exec(FIRST, spaces)
    exec(code, spaces)
    batches = next(value for key, value in spaces.items() if key in {"predictions", "cams", "probabilities"})
    predictions = [each for batch in batches for each in batch]
    assert len(predictions) == 4, name
    assert all(each.labels.shape == (96, 96) for each in predictions)
    assert 0 <= spaces["figures"]["test/miou"] <= 1
