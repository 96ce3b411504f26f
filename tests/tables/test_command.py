import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wsss_lightning import pipeline
from wsss_lightning.cli import app
from wsss_lightning.errors import InputError
from wsss_lightning.tables.cells import Cell
from wsss_lightning.tables.spec import Spec

Finish = Callable[..., np.ndarray]
ONE_ROW = "title: T\nsource: S\nmetric: val/miou\nrows: [{name: Top, experiment: points/top, paper: 30.7}]\n"


def _wsss(*arguments: str, root: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["table", *arguments, "backbone.weights=null", f"paths.root={root}"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_command_collects_and_keeps_a_snapshot(spec: Spec, cells: list[Cell], finish: Finish, root: Path) -> None:
    spec.path.write_text(ONE_ROW)
    finish(cells[0])
    code, output = _wsss(str(spec.path), "--format", "json", root=root)
    assert code == 0
    table = json.loads(output)
    assert table["rows"][0]["results"][0]["key"] == cells[0].plan.final.key
    record = cells[0].plan.final.record()
    assert record is not None and table["rows"][0]["mean"] == record["metrics"]["val/miou"]
    (snapshot,) = (root / "tables").glob("points-table9-*.json")
    assert json.loads(snapshot.read_text()) == table


def test_the_command_ends_with_status_1_where_a_row_failed(
    spec: Spec, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec.path.write_text(ONE_ROW)

    def run(plan: pipeline.Plan) -> dict[str, float]:
        raise InputError("The disk is full.")

    monkeypatch.setattr(pipeline, "run", run)
    code, output = _wsss(str(spec.path), "--run", root=root)
    assert code == 1
    assert "Top, seed 0, failed: The disk is full." in output


def test_a_plan_writes_nothing(spec: Spec, root: Path) -> None:
    spec.path.write_text(ONE_ROW)
    code, output = _wsss(str(spec.path), "--plan", root=root)
    assert code == 0
    assert output.count("evaluation") == 1
    assert "to run" in output
    assert not (root / "tables").exists()


def test_settings_of_the_rows_method_can_be_overridden(spec: Spec, root: Path) -> None:
    spec.path.write_text(ONE_ROW.replace("points/top", "patches/lse1").replace("val/miou", "val/ap"))
    code, output = _wsss(str(spec.path), "patches.bounded=false", "--format", "json", root=root)
    assert code == 0
    assert "patches.bounded=false" in json.loads(output)["rows"][0]["results"][0]["overrides"]


def test_an_override_may_name_another_stage(spec: Spec, root: Path) -> None:
    spec.path.write_text(ONE_ROW)
    masks = "stages.evaluation.masks=${artifact:refined}/masks"
    assert "refined" in _wsss(str(spec.path), masks, "--plan", root=root)[1]
    code, output = _wsss(str(spec.path), masks, "--format", "json", root=root)
    assert code == 0
    assert json.loads(output)["rows"][0]["results"][0]["overrides"][1] == masks


def test_what_cannot_be_planned_names_the_row(spec: Spec, root: Path) -> None:
    spec.path.write_text(ONE_ROW.replace("points/top", "points/tpo"))
    result = CliRunner().invoke(app, ["table", str(spec.path), f"paths.root={root}"])
    assert isinstance(result.exception, InputError)
    assert "row 'Top'" in str(result.exception)
    assert "points/tpo" in str(result.exception)


def test_saving_writes_a_file_to_commit_and_one_to_read(
    spec: Spec, cells: list[Cell], finish: Finish, root: Path
) -> None:
    spec.path.write_text(ONE_ROW)
    finish(cells[0])
    code, output = _wsss(str(spec.path), "--save", "--suffix", "reduced", "--note", "12 images", root=root)
    assert code == 0
    results = spec.path.parent / "results"
    assert sorted(path.name for path in results.iterdir()) == [
        "table9-shapes-tiny-reduced.json",
        "table9-shapes-tiny-reduced.md",
    ]
    assert "† 12 images" in output


def test_a_report_needs_a_table_first(root: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(root)])
    assert isinstance(result.exception, InputError)
    assert "run `wsss table" in str(result.exception)


def test_a_report_is_written_beside_its_tables(spec: Spec, cells: list[Cell], finish: Finish, root: Path) -> None:
    spec.path.write_text(ONE_ROW)
    finish(cells[0])
    _wsss(str(spec.path), root=root)
    result = CliRunner().invoke(app, ["report", str(root)])
    assert result.exit_code == 0
    assert str(root / "report.html") in result.output.replace("\n", "")
    assert (root / "report.html").is_file()
