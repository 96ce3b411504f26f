"""Sweeps read from folders as `wsss run -m` leaves them, averaged and compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from wsss_lightning.cli import app
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.objective import searched_on
from wsss_lightning.tables.bootstrap import mean_ious, paired_interval
from wsss_lightning.tables.jobs import find_sweeps
from wsss_lightning.tables.summary import summarise
from wsss_lightning.tables.summary_text import summary_csv

MakeJob = Callable[..., None]
SHARE = {"top": 0.5, "diverse": 0.8, "dense": 0.6}  # of right pixels


def _matrices(sampler: str, seed: int) -> np.ndarray:
    """(6, 2, 2) int64."""
    noise = np.random.default_rng([seed, len(sampler)]).integers(0, 40, size=(6, 2, 2))
    return noise + np.round(
        400 * np.array([[SHARE[sampler], 1 - SHARE[sampler]], [1 - SHARE[sampler], SHARE[sampler]]])
    ).astype(np.int64)


def _miou(sampler: str, seed: int) -> float:
    return float(mean_ious(_matrices(sampler, seed).sum(axis=0)))


@pytest.fixture
def job(tmp_path: Path) -> MakeJob:
    """Write what one job leaves, and its last two stages in the store."""

    def write(sweep: str, number: int, sampler: str, seed: int, *overrides: str, failure: str | None = None) -> None:
        folder, root = tmp_path / "runs" / "sweeps" / sweep / str(number), tmp_path / "runs"
        (folder / ".hydra").mkdir(parents=True)
        (folder / ".hydra" / "overrides.yaml").write_text(
            yaml.safe_dump([f"sampler={sampler}", f"++seed={seed}", "method=points", *overrides])
        )
        if failure is not None:
            (folder / "failure.json").write_text(json.dumps({"failure": failure}))
            return
        matrices = _matrices(sampler, seed)
        metrics = {"val/miou": _miou(sampler, seed), "val/iou/a": 0.5}
        _stage(root / "store" / f"classifier-{sweep}{number}", {"val/tag_ap": 0.9, "train/loss": seed}, seconds=60.0)
        last = root / "store" / f"evaluation-{sweep}{number}"
        _stage(last, metrics, seconds=30.0)
        np.save(last / "confusion.npy", matrices)
        (last / "images.json").write_text(json.dumps([str(n) for n in range(len(matrices))]))
        (folder / "metrics.json").write_text(json.dumps(metrics))
        # As a store says that has been moved since.
        stages = {name: f"/elsewhere/store/{name}-{sweep}{number}" for name in ("classifier", "evaluation")}
        (folder / "stages.json").write_text(json.dumps(stages))

    return write


def _stage(folder: Path, metrics: dict[str, float], *, seconds: float) -> None:
    folder.mkdir(parents=True)
    described = {"stage": folder.name, "key": folder.name, "node": {"_target_": "a.b"}, "upstream": {}, "sources": {}}
    card = {"supervision": "image tags"}
    record = {**described, "metrics": metrics, "card": card, "wall_seconds": seconds}
    (folder / "stage.json").write_text(json.dumps(record))


@pytest.fixture
def root(tmp_path: Path, job: MakeJob) -> Path:
    for number, (sampler, seed) in enumerate((name, seed) for name in ("top", "diverse") for seed in (0, 1, 2)):
        job("x", number, sampler, seed)
    job("x", 6, "dense", 0, failure="dense.k=0: give a positive number.")
    return tmp_path / "runs"


def test_the_metric_that_a_search_was_for_comes_first(root: Path) -> None:
    for path in root.glob("store/evaluation-*/stage.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"card": {"searched_on": searched_on("val/tag_ap")}}))
    summary = summarise(find_sweeps([], root))
    assert summary.metric == "val/tag_ap" and summary.rows[0].groups["x"].mean == pytest.approx(0.9)
    assert summary.best is None, "all rows have one mean"
    assert summarise(find_sweeps([], root), metric="val/miou").metric == "val/miou"


def test_rows_are_means_over_seeds_with_intervals_to_the_first(root: Path) -> None:
    summary = summarise(find_sweeps([], root))
    assert (summary.metric, summary.names, summary.over) == ("val/miou", ["sampler"], ["seed"])
    top, diverse, dense = (row.groups["x"] for row in summary.rows)
    values = [_miou("diverse", seed) for seed in range(3)]
    assert diverse.mean == pytest.approx(sum(values) / 3) and diverse.deviation == pytest.approx(np.std(values, ddof=1))
    assert diverse.seconds == 90.0 and dense.mean is None and top.mean is not None and diverse.mean is not None
    sides = [np.stack([_matrices(name, seed) for seed in range(3)]) for name in ("diverse", "top")]
    found = summary.rows[1].differences["x"]
    assert (found.low, found.high) == paired_interval(*sides) and found.images == 6 and found.over_seeds
    assert found.value == pytest.approx(diverse.mean - top.mean)
    assert not summary.rows[0].differences and summary.best == (summary.rows[1], "x")


def test_pairs_agree_in_seed_and_the_rest_does_not_count(root: Path, job: MakeJob) -> None:
    job("y", 0, "top", 1)
    job("y", 1, "top", 5)
    job("y", 2, "diverse", 5)
    job("y", 3, "diverse", 7)
    found = summarise(find_sweeps(["y"], root)).rows[1].differences["y"]
    assert found.value == pytest.approx(_miou("diverse", 5) - _miou("top", 5)) and found.seeds == [5]


def test_by_averages_over_all_else(root: Path) -> None:
    summary = summarise(find_sweeps(["x"], root), by=["seed"], reference="seed=1")
    assert summary.over == ["sampler"] and [row.choice for row in summary.rows] == [("0",), ("1",), ("2",)]
    assert summary.reference == ("1",) and summary.rows[0].groups["x"].mean == pytest.approx(
        (_miou("top", 0) + _miou("diverse", 0)) / 2
    )


def test_less_of_a_loss_is_better_and_stages_report_too(root: Path) -> None:
    summary = summarise(find_sweeps(["x"], root), by=["seed"], metric="train/loss")
    assert summary.best is not None and summary.best[0].choice == ("0",)
    assert {row.groups["x"].mean for row in summarise(find_sweeps(["x"], root), metric="val/tag_ap").rows} == {
        0.9,
        None,
    }


def test_two_sweeps_stand_side_by_side(root: Path, job: MakeJob) -> None:
    for number, sampler in enumerate(("top", "diverse")):
        job("y", number, sampler, 3, "backbone=vgg16")
        job("z", number, sampler, 3, "backbone=tiny")
    summary = summarise(find_sweeps(["[yz]"], root))
    assert summary.labels == {"y": "backbone=vgg16", "z": "backbone=tiny"}
    change = summary.rows[0].changes["z"]
    assert (change.value, change.low, change.high) == (0.0, 0.0, 0.0)


def test_the_loss_of_a_training_is_not_what_it_is_judged_by(root: Path) -> None:
    for path in root.glob("sweeps/x/*/metrics.json"):
        path.write_text(json.dumps({"train/loss": 0.1, "val/tag_ap": 0.9}))
    assert summarise(find_sweeps([], root)).metric == "val/tag_ap"


def test_csv_has_numbers_as_they_are(root: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(summary_csv(summarise(find_sweeps([], root))))))
    assert [row["sampler"] for row in rows] == ["top", "diverse", "dense"] and [row["best"] for row in rows] == list(
        "010"
    )
    assert float(rows[1]["mean"]) == pytest.approx(np.mean([_miou("diverse", seed) for seed in range(3)]))
    assert rows[2]["failed"] == "1" and rows[2]["mean"] == "" and float(rows[1]["seconds"]) == 90.0


@pytest.mark.parametrize("style", ["text", "markdown", "html", "csv"])
def test_the_command_prints_rows_best_and_failures(root: Path, style: str) -> None:
    ended = CliRunner().invoke(app, ["summary", str(root / "sweeps" / "x"), "--format", style])
    assert ended.exit_code == 0, ended.output
    text = " ".join(ended.output.split())
    assert "diverse" in text
    if style != "csv":
        best = 100 * np.mean([_miou("diverse", seed) for seed in range(3)])
        assert f"Best: sampler=diverse, {best:.1f} ±" in text and "reference" in text
        assert "job 6 failed: dense.k=0: give a positive number." in text and "1 failed of 1" in text
        assert "paired bootstrap over 6 images and seeds" in text and "has chosen by masks of val" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["q"], "q is no folder of a sweep; .*holds x"),
        (["--by", "typo"], "--by typo: no job was given it; they were given sampler, seed, method"),
        (["--metric", "val/typo"], "No job reports val/typo; there are val/miou"),
        (["--reference", "sampler=typo"], "no row; the rows are sampler=top; sampler=diverse"),
    ],
)
def test_a_mistake_is_one_sentence(root: Path, arguments: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        CliRunner().invoke(app, ["summary", *arguments, "--root", str(root)], catch_exceptions=False)


def test_without_a_sweep_the_sentence_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no sweep yet; wsss run -m writes one to .*sweeps\."):
        find_sweeps([], tmp_path)
    (tmp_path / "sweeps" / "x" / "0" / ".hydra").mkdir(parents=True)
    (tmp_path / "sweeps" / "x" / "0" / ".hydra" / "overrides.yaml").write_text("{")
    with pytest.raises(InputError, match=r"overrides\.yaml cannot be read"):
        find_sweeps([], tmp_path)
