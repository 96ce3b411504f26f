"""Counting which orderings of the papers come out, on tables made by hand."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from wsss_lightning.pipeline.configuration import project_folder
from wsss_lightning.tables.results import COMPUTED, Result, Row, Table, summarised
from wsss_lightning.tables.spec import Spec, read_spec

EXPERIMENTS = project_folder("experiments")
SPEC = """
title: Samplings
source: A paper
metric: val/miou
rows:
  - {name: best, experiment: points/diverse, paper: 40.6}
  - {name: middle, experiment: points/spatial, paper: 38.1}
  - {name: worst, experiment: points/top, paper: 30.7}
  - {name: printed only, paper: 15.0}
  - {name: as good, experiment: points/dense, paper: 30.7}
"""


@pytest.fixture
def orderings(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program as a module."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    return pytest.importorskip("orderings")


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    (tmp_path / "table9.yaml").write_text(SPEC)
    return read_spec(tmp_path / "table9.yaml")


def ours(spec: Spec, numbers: dict[str, list[float]]) -> Table:
    rows = [
        summarised(Row(each.name, each.experiment, each.paper, None, _results(numbers.get(each.name, []))))
        for each in spec.rows
    ]
    words: dict[str, Any] = {"data": "shapes", "backbone": "tiny", "collected": "", "store": None, "comparable": False}
    return Table(heading=spec.heading, overrides=[], seeds=[0], notes=[], rows=rows, **words)


def _results(values: list[float]) -> list[Result]:
    return [Result(seed, [], f"k{seed}", "", COMPUTED, value=value) for seed, value in enumerate(values)]


def test_pairs_that_the_paper_orders_are_counted(orderings: Any, spec: Spec) -> None:
    made = ours(spec, {"best": [0.40, 0.42], "middle": [0.45, 0.41], "worst": [0.2, 0.2], "as good": [0.3, 0.3]})
    pairs = {(pair.better, pair.worse): pair for pair in orderings.pairs(spec, made)}
    expected = [("best", "middle"), ("best", "worst"), ("best", "as good"), ("middle", "worst"), ("middle", "as good")]
    assert list(pairs) == expected
    assert [pair.comes_out for pair in pairs.values()] == [False, True, True, True, True]
    gap = pairs["best", "middle"]
    assert (gap.paper, gap.ours) == pytest.approx((2.5, -2.0))
    assert gap.interval == pytest.approx(stats.t.interval(0.95, 1, loc=-2, scale=stats.sem([-5, 1])))
    assert gap.undecided
    one = replace(made, rows=[replace(row, results=row.results[:1]) for row in made.rows])
    assert {pair.interval for pair in orderings.pairs(spec, one)} == {None}


def test_a_pair_that_does_not_come_out_is_listed_with_its_reason(orderings: Any, spec: Spec) -> None:
    found = list(orderings.pairs(spec, ours(spec, {"best": [0.4, 0.42], "middle": [0.5, 0.52], "worst": [0.45, 0.47]})))
    text = orderings.report(found, ["points/table9"], {f"{spec.heading.name}: best > middle": "a bound"})
    assert "1 of 3 pairs come out: 33 %" in text
    assert "| best | middle | +2.5 | -10.0 [-10.0, -10.0] | a bound |" in text
    assert "| best | worst | +9.9 | -5.0 [-5.0, -5.0] | not known |" in text
    assert "No committed result: points/table9." in text and "comes out |" not in text
    whole = orderings.report(found, [], {}, whole=True)
    assert (
        "| middle | worst | +7.4 | +5.0 [+5.0, +5.0] | comes out |" in whole
        and "-5.0 [-5.0, -5.0] | not known |" in whole
    )


def test_patches_are_ordered_within_a_class(orderings: Any) -> None:
    spec = read_spec(EXPERIMENTS / "patches" / "table2.yaml")
    numbers = {row.name: [0.1] for row in spec.rows if row.experiment}
    pairs = list(orderings.pairs(spec, ours(spec, numbers)))
    assert len(pairs) == 12
    assert all(pair.better.rpartition(", ")[2] == pair.worse.rpartition(", ")[2] for pair in pairs)


def test_the_program_reads_what_is_committed(tmp_path: Path) -> None:
    command = [sys.executable, str(EXPERIMENTS / "orderings.py"), "--out", str(tmp_path / "o.md")]
    subprocess.run([*command, "--tables", "points/table2", "points/table3"], check=True)
    text = (tmp_path / "o.md").read_text()
    assert "| points/table2 | 6 |" in text
    assert "| points/table3 | 10 |" in text and "\n- points/table3: seed=0,1,2\n" in text


@pytest.mark.parametrize(("ablation", "counts"), [("priors/scenes", True), ("priors/log_unary", False)])
def test_tables_of_departures_do_not_count(orderings: Any, tmp_path: Path, ablation: str, counts: bool) -> None:
    content = json.loads((EXPERIMENTS / "priors" / "results" / "table5-shapes_bodies-tiny.json").read_text())
    content["overrides"].append(f"ablation={ablation}")
    (tmp_path / "priors" / "results").mkdir(parents=True)
    (tmp_path / "priors" / "results" / "table5-shapes_bodies-tiny.json").write_text(json.dumps(content))
    assert (orderings.committed("priors/table5", ["shapes_bodies"], tmp_path) is not None) == counts


def test_tables_are_looked_for_on_several_data_sets(orderings: Any) -> None:
    table = orderings.committed("points/table2", ["shapes_bodies", "shapes"], EXPERIMENTS)
    assert table is not None and table.data == "shapes"
    assert orderings.committed("points/table2", ["voc"], EXPERIMENTS / "none") is None
