from __future__ import annotations

import pytest

from wsss_lightning.commands.catalogue import catalogue
from wsss_lightning.pipeline.configuration import project_folder


def test_everything_that_can_be_chosen_has_a_line_that_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    catalogue()
    lines = capsys.readouterr().out.splitlines()
    for group in ("method", "ablation", "experiment", "backbone", "data", "source", "sweep"):
        folder = project_folder("conf") / group
        for path in folder.rglob("*.yaml"):
            name = f"{group}={path.relative_to(folder).with_suffix('').as_posix()}"
            line = next(line for line in lines if name in line.split())
            assert len(line.split()) > 3, name
    assert any(line.split()[:3] == ["wsss", "table", "points/table2"] for line in lines)
