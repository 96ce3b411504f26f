import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import RECORD
from wsss_lightning.tables.bootstrap import paired_interval
from wsss_lightning.tables.cells import Cell, needed, plan_cells, run_missing, split_seeds
from wsss_lightning.tables.collect import collect, write_snapshot
from wsss_lightning.tables.results import (
    CHANGED,
    COMMITTED,
    COMPUTED,
    FAILED,
    MISSING,
    Table,
    as_json,
    read_table,
    short_commit,
    write_table,
)
from wsss_lightning.tables.saving import portable, save_table, without_folders
from wsss_lightning.tables.spec import Spec, find_spec, read_spec

Finish = Callable[..., np.ndarray]
Collect = Callable[..., Table]


def _of(cells: list[Cell], row: str) -> list[Cell]:
    return [cell for cell in cells if cell.row == row]


def _metrics(cell: Cell) -> dict[str, float]:
    record = cell.plan.final.record()
    assert record is not None
    metrics: dict[str, float] = record["metrics"]
    return metrics


def _edit_record(cell: Cell, stage: str, **changes: object) -> None:
    path = cell.plan.stages[stage].folder / RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("overrides", "others", "seeds"),
    [
        (["data=voc"], ["data=voc"], None),
        (["seed=3", "data=voc"], ["data=voc"], [3]),
        (["seed=0,1,2"], [], [0, 1, 2]),
        (["seed=0, 1"], [], [0, 1]),
        (["seed=range(0,3)"], [], [0, 1, 2]),
        (["seed=range(2)"], [], [0, 1]),
        (["seed=1", "seed=2,3"], [], [2, 3]),
    ],
)
def test_seeds_are_taken_out_of_overrides(overrides: list[str], others: list[str], seeds: list[int] | None) -> None:
    assert split_seeds(overrides) == (others, seeds)


@pytest.mark.parametrize("value", ["a", "0,0", "", "range(0)", "0,", "1.5"])
def test_seeds_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(InputError, match="seed="):
        split_seeds([f"seed={value}"])


def test_rows_with_an_experiment_are_planned_under_every_seed(cells: list[Cell]) -> None:
    assert [(cell.row, cell.seed) for cell in cells] == [("Top", 0), ("Top", 1), ("Diverse", 0), ("Diverse", 1)]
    assert cells[1].overrides[0] == "experiment=points/top"
    assert cells[1].overrides[-1] == "seed=1"
    assert len({cell.plan.final.key for cell in cells}) == 4


def test_a_needed_stage_is_listed_once_with_all_its_rows(cells: list[Cell]) -> None:
    stages = needed(cells)
    keys = [stage.key for stage, _ in stages]
    assert len(keys) == len(set(keys))
    assert set(keys) == {stage.key for cell in cells for stage in cell.plan.stages.values()}
    features = next(rows for stage, rows in stages if stage.name == "features")
    assert features == ["Top", "Diverse"]
    assert [rows for stage, rows in stages if stage.name == "evaluation"] == [
        ["Top"],
        ["Top"],
        ["Diverse"],
        ["Diverse"],
    ]
    for stage, _ in stages:
        assert all(keys.index(key) < keys.index(stage.key) for key in stage.upstream.values())


def test_numbers_are_those_of_the_records(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    for cell in cells:
        finish(cell)
    table = collected(notes=["reduced"])
    for row in table.rows[:2]:
        records = [_metrics(cell) for cell in _of(cells, row.name)]
        values = [metrics["val/miou"] for metrics in records]
        assert [result.value for result in row.results] == values
        assert row.mean == pytest.approx(mean(values))
        assert row.std == pytest.approx(stdev(values))
        assert row.class_iou()["cat"] == pytest.approx(mean(metrics["val/iou/cat"] for metrics in records))
        assert [result.status for result in row.results] == [COMPUTED, COMPUTED]
    result = table.rows[0].results[1]
    assert (result.seed, result.key) == (1, cells[1].plan.final.key)
    assert [stage.name for stage in result.stages] == list(cells[1].plan.stages)
    assert result.wall_seconds == pytest.approx(sum(stage.wall_seconds or 0 for stage in result.stages))
    assert (result.device, result.cores, result.date) == ("CPU, fake", 2, "2026-01-02T03:04:05+00:00")
    assert result.card["supervision"] == "image tags"
    assert (table.data, table.backbone, table.comparable, table.notes) == ("shapes", "tiny", False, ["reduced"])


def test_differences_are_those_of_the_means_and_bootstrapped_from_the_matrices(
    cells: list[Cell], finish: Finish, collected: Collect
) -> None:
    matrices = {(cell.row, cell.seed): finish(cell) for cell in cells}
    top, diverse, printed = collected().rows
    assert (diverse.difference, printed.difference) == (None, None)
    assert top.difference is not None and top.mean is not None and diverse.mean is not None
    assert top.difference.value == pytest.approx(top.mean - diverse.mean)
    ours, reference = (np.stack([matrices[row, seed] for seed in (0, 1)]) for row in ("Top", "Diverse"))
    assert (top.difference.low, top.difference.high) == paired_interval(ours, reference)
    assert (top.difference.seeds, top.difference.images) == ([0, 1], 12)


def test_a_difference_is_over_common_seeds(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    for cell in cells[1:]:
        finish(cell)
    top = collected().rows[0]
    assert top.difference is not None
    assert top.difference.seeds == [1]
    assert top.difference.value == pytest.approx(_metrics(cells[1])["val/miou"] - _metrics(cells[3])["val/miou"])
    assert top.std is None


def test_other_images_or_no_matrices_give_no_interval(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    for cell in cells:
        finish(cell, images=[f"{cell.row}_{number}" for number in range(12)])
    first = collected().rows[0].difference
    for cell in cells:
        (cell.plan.final.folder / "confusion.npy").unlink()
    second = collected().rows[0].difference
    assert first is not None and second is not None
    assert (first.low, first.high, second.low) == (None, None, None)


def test_a_missing_artifact_has_no_number(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    finish(cells[2])
    (cells[0].plan.final.folder).mkdir()  # half done
    table = collected()
    assert [result.status for result in table.rows[0].results] == [MISSING, MISSING]
    assert [result.status for result in table.rows[1].results] == [COMPUTED, MISSING]
    assert (table.rows[0].mean, table.rows[0].difference) == (None, None)
    assert table.rows[1].mean == _metrics(cells[2])["val/miou"]
    assert table.rows[2].results == []


def test_code_that_changed_anywhere_upstream_is_named(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    finish(cells[0])
    record = cells[0].plan.stages["features"].record()
    assert record is not None
    file = "wsss_lightning/methods/points/stages/extract.py"
    _edit_record(cells[0], "features", sources=record["sources"] | {file: "another"})
    result = collected().rows[0].results[0]
    assert (result.status, result.detail) == (CHANGED, file)
    assert result.value == _metrics(cells[0])["val/miou"]


def test_a_metric_that_the_stage_does_not_report_is_named(
    cells: list[Cell], finish: Finish, collected: Collect
) -> None:
    finish(cells[0])
    _edit_record(cells[0], "evaluation", metrics={"val/other": 1.0})
    with pytest.raises(InputError, match=r"reports no val/miou, only val/other"):
        collected()


def test_nan_is_no_number(cells: list[Cell], finish: Finish, collected: Collect) -> None:
    finish(cells[0])
    _edit_record(cells[0], "evaluation", metrics={"val/miou": 0.5, "val/iou/cat": float("nan")})
    table = collected()
    assert table.rows[0].class_iou() == {"cat": None}


def test_a_committed_result_stands_in_for_exactly_its_key(
    cells: list[Cell], finish: Finish, collected: Collect, spec: Spec, root: Path
) -> None:
    for cell in cells:
        finish(cell)
    before = collected()
    save_table(before, spec.path.parent / "results", suffix=None)
    shutil.rmtree(root)
    after = collected()
    result = after.rows[0].results[1]
    assert (result.status, result.detail) == (COMMITTED, "commit 0123456, 2026-01-02")
    assert result.value == before.rows[0].results[1].value
    assert after.rows[0].difference == before.rows[0].difference  # its interval cannot be computed again
    file = spec.path.parent / "results" / "table9-shapes-tiny.json"
    file.write_text(file.read_text().replace(result.key, "0" * 64))
    again = collected().rows[0]
    assert [found.status for found in again.results] == [COMMITTED, MISSING]
    assert again.results[1].value is None
    assert again.difference is not None and again.difference.low is None


def test_what_is_saved_names_no_folder_of_this_machine(
    cells: list[Cell], finish: Finish, collected: Collect, spec: Spec, root: Path, tmp_path: Path
) -> None:
    finish(cells[0])
    _edit_record(cells[0], "evaluation", card={"initial_weights": str(tmp_path / "tiny.safetensors")})
    table = collected(notes=["reduced"], failures={cells[1].plan.final.key: f"There is no {tmp_path}/x"})
    table = replace(table, overrides=[*table.overrides, f"data.root={tmp_path}/VOC2012"])
    path = save_table(table, spec.path.parent / "results", suffix="reduced")
    assert path.name == "table9-shapes-tiny-reduced.json"
    for file in (path, path.with_suffix(".md")):
        assert str(tmp_path) not in file.read_text()
    kept = read_table(path)
    assert kept == portable(table)
    assert kept.rows[0].results[0].card == {"initial_weights": "tiny.safetensors"}
    command = (
        "wsss table points/table9 backbone.weights=null seed=0,1 data.root=.../VOC2012 --run --save --note reduced"
    )
    assert kept.command == command
    assert command in path.with_suffix(".md").read_text()


def test_folders_are_cut_off_inside_containers() -> None:
    assert without_folders({"a": ["/x/y.pth", 3], "b": "image tags"}) == {"a": ["y.pth", 3], "b": "image tags"}


def test_a_table_survives_its_file(collected: Collect, cells: list[Cell], finish: Finish, tmp_path: Path) -> None:
    finish(cells[0])
    table = collected()
    write_table(tmp_path / "a.json", table)
    assert read_table(tmp_path / "a.json") == table


def test_a_row_keeps_its_place_on_the_axis(spec: Spec, cells: list[Cell], root: Path, tmp_path: Path) -> None:
    rows = [replace(row, x=x) for row, x in zip(spec.rows, (1.0, 5.0, None), strict=True)]
    placed = replace(spec, heading=replace(spec.heading, axis="k"), rows=rows)
    table = collect(placed, [], cells, root=root, failures={}, notes=[])
    assert [row.x for row in table.rows] == [1.0, 5.0, None]
    write_table(tmp_path / "a.json", table)
    assert json.loads((tmp_path / "a.json").read_text())["heading"]["axis"] == "k"
    assert read_table(tmp_path / "a.json") == table


def test_a_file_from_before_axes_and_further_metrics_is_read(
    collected: Collect, cells: list[Cell], finish: Finish, tmp_path: Path
) -> None:
    finish(cells[0])
    table = collected()
    content = json.loads(as_json(table))
    del content["heading"]["axis"], content["heading"]["also"]
    for row in content["rows"]:
        del row["x"]
        for result in row["results"]:
            del result["also"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert read_table(tmp_path / "old.json") == table


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"rows": [], "heading": {}}'])
def test_a_damaged_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json is no table"):
        read_table(tmp_path / "a.json")


def test_snapshots_of_different_overrides_stand_side_by_side(collected: Collect, root: Path) -> None:
    table = collected()
    paths = {write_snapshot(t, root) for t in (table, table, replace(table, overrides=["seed=5"]))}
    assert len(paths) == 2
    assert all(path.parent == root / "tables" and path.name.startswith("points-table9-") for path in paths)


def test_a_group_is_the_last_override_or_the_default() -> None:
    assert pipeline.choices(["data=voc", "data.root=/x", "data=coco"])["data"] == "coco"
    assert pipeline.choices(["data.root=/x"])["data"] == "shapes"
    assert pipeline.choices([])["backbone"] == "tiny"
    assert pipeline.choices(["experiment=patches/lse1"])["backbone"] == "lse_tiny"


@pytest.mark.parametrize(("commit", "shown"), [(None, "-"), ("0123456789", "0123456"), ("0123456789+", "0123456+")])
def test_a_checkout_with_changes_keeps_its_mark(commit: str | None, shown: str) -> None:
    assert short_commit(commit) == shown


def test_a_further_metric_that_the_stage_lacks_is_named(
    spec: Spec, cells: list[Cell], finish: Finish, root: Path
) -> None:
    finish(cells[0])
    further = replace(spec, heading=replace(spec.heading, also=["val/foreground"]))
    with pytest.raises(InputError, match="reports no val/foreground, only val/miou"):
        collect(further, [], cells, root=root, failures={}, notes=[])


def test_columns_of_another_stage_and_of_what_a_row_takes(
    spec: Spec, cells: list[Cell], finish: Finish, record: Callable[..., None], root: Path
) -> None:
    cell, folder = cells[0], root / "store"
    finish(cell)
    stages = {name: replace(stage, folder=folder / f"{name}-other") for name, stage in cell.plan.stages.items()}
    other = replace(cell.plan, stages={**cell.plan.stages, "evaluation": replace(stages["evaluation"], key="other")})
    stages_of_it = replace(cell, further={"evaluation_crf": other})
    columns = ["evaluation_crf:val/miou", "seconds", "gigabytes"]
    wide = replace(spec, heading=replace(spec.heading, also=columns), rows=spec.rows[:1])
    (result,) = collect(wide, [], [stages_of_it], root=root, failures={}, notes=[]).rows[0].results
    seconds = sum(1.5 + number for number in range(len(stages) - 1)) + 2.5
    assert result.also == {"evaluation_crf:val/miou": None, "seconds": seconds, "gigabytes": 2.0}
    record(other.final, {"val/miou": 0.5}, {}, seconds=10.0)
    (result,) = collect(wide, [], [stages_of_it], root=root, failures={}, notes=[]).rows[0].results
    assert result.also["evaluation_crf:val/miou"] == 0.5
    assert result.also["seconds"] == seconds + 10
    narrow = replace(wide, rows=[replace(spec.rows[0], also=[], metric="val/iou/cat")])
    (result,) = collect(narrow, [], [stages_of_it], root=root, failures={}, notes=[]).rows[0].results
    assert (result.also, result.value) == ({}, _metrics(cell)["val/iou/cat"])


def test_a_further_stage_is_planned_and_run(spec: Spec, cells: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    wide = replace(spec, heading=replace(spec.heading, also=["evaluation_crf:val/miou"]), rows=spec.rows[:1])
    (cell,) = plan_cells(wide, ["backbone.weights=null", "seed=0", "paths.root=runs"])
    assert cell.further["evaluation_crf"].result == "evaluation_crf"
    launched: list[str] = []
    monkeypatch.setattr(pipeline, "run", lambda plan: launched.append(plan.result))
    assert run_missing([cell]) == {}
    assert launched == ["evaluation", "evaluation_crf"]
    assert {"refined", "evaluation_crf"} <= {stage.name for stage, _ in needed([cell])}


def test_dashboards_show_all_rows_of_a_table(spec: Spec, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    (cell,) = plan_cells(replace(spec, rows=spec.rows[:1]), ["backbone.weights=null", f"paths.root={root}"])
    shown = replace(cell, plan=replace(cell.plan, loggers={"w": {"_target_": "wsss_lightning.dashboards.x.Y"}}))
    launched: list[pipeline.Plan] = []
    monkeypatch.setattr(pipeline, "run", lambda plan: launched.append(plan))
    monkeypatch.setattr(pipeline.PlannedStage, "record", lambda _: {"metrics": {}})  # all are there
    assert run_missing([cell, shown], "points/table9") == {}
    (told,) = [plan.run for plan in launched]
    assert (told["group"], told["name"]) == ("points/table9", f"{cell.row} seed=0")
    assert told["varied"] == {"row": cell.row, "seed": 0} and told["overrides"]["experiment"] == "points/top"


def test_a_failing_row_is_reported_and_the_others_go_on(
    cells: list[Cell], finish: Finish, collected: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(cells[0])
    launched = []

    def run(plan: pipeline.Plan) -> dict[str, float]:
        launched.append(plan.final.key)
        if plan is cells[1].plan:
            raise InputError("There is no such weights file.")
        if plan is cells[2].plan:
            raise RuntimeError("out of memory")
        finish(cells[3])
        return {}

    monkeypatch.setattr(pipeline, "run", run)
    failures = run_missing(cells)
    assert launched == [cell.plan.final.key for cell in cells[1:]]
    table = collected(failures=failures)
    assert [result.status for row in table.rows for result in row.results] == [COMPUTED, FAILED, FAILED, COMPUTED]
    assert table.rows[0].results[1].detail == "There is no such weights file."
    assert table.rows[1].results[0].detail == "RuntimeError: out of memory"


def test_a_source_is_for_those_rows_of_several_methods_that_read_one() -> None:
    compared = read_spec(find_spec("compare/photographs"))
    rows = {row.experiment: row for row in compared.rows}
    given = ["backbone.weights=null", "source=photographs", "paths.root=runs"]
    both = [replace(rows[name], also=[]) for name in ("cam/student", "coseg/full")]
    cam, coseg = plan_cells(replace(compared, rows=both), given)
    assert cam.plan.final.key == plan_cells(replace(compared, rows=both[:1]), [given[0], given[2]])[0].plan.final.key
    assert coseg.plan.choices["source"] == "photographs"
    with pytest.raises(InputError, match="source=photographs: no stage of method=cam reads source"):
        plan_cells(replace(compared, rows=both[:1]), given)
