from pathlib import Path

import pytest

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.configuration import project_folder
from wsss_lightning.tables.spec import find_spec, read_spec

GOOD = """
title: Sampling
source: A paper, Table 2
metric: val/miou
reference: B
rows:
  - {name: A, experiment: points/top, overrides: [sampler.k=5], paper: 30.7}
  - {name: B, experiment: points/diverse}
  - {name: C, paper: {val/miou: 15, val/iou/cat: 20.5}, footnote: another split}
"""


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_points_table_2_is_the_papers() -> None:
    spec = read_spec(find_spec("points/table2"))
    printed = {row.name: row.paper["val/miou"] for row in spec.rows}
    assert printed == {"Dense": 15.0, "Spatial": 33.4, "Top k = 20": 30.7, "Diverse, k = 20": 40.6}
    assert spec.heading.setting == "VOC 2012 val, VGG-16"
    assert spec.heading.choices == {"data": "voc", "backbone": "vgg16"}


@pytest.mark.parametrize("path", sorted(project_folder("experiments").glob("*/table*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_table_names_experiments_that_exist(path: Path) -> None:
    for row in read_spec(path).rows:
        assert row.experiment is None or (project_folder("conf") / f"experiment/{row.experiment}.yaml").is_file()


def test_a_number_stands_for_the_tables_metric_and_a_mapping_for_itself(tmp_path: Path) -> None:
    rows = read_spec(_write(tmp_path / "table9.yaml", GOOD)).rows
    assert [row.paper for row in rows] == [{"val/miou": 30.7}, {}, {"val/miou": 15.0, "val/iou/cat": 20.5}]
    assert rows[0].overrides == ["sampler.k=5"]
    assert (rows[2].experiment, rows[2].footnote) == (None, "another split")


def test_a_file_may_be_anywhere_and_is_named_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    path = _write(tmp_path / "mine" / "table9.yaml", GOOD)
    assert read_spec(find_spec(str(path))).heading.name == "mine/table9"


def test_an_unknown_table_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no table points/table99.*points/table2"):
        find_spec("points/table99")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("title: Sampling", "titel: Sampling", "unknown key titel"),
        ("title: Sampling", "", "title is missing"),
        ("name: A, ", "", "row 1: name is missing"),
        ("name: B, ", "name: A, ", "two rows have one name"),
        ("reference: B", "reference: D", "reference 'D' is no row"),
        ("experiment: points/diverse}", "gpu: 1}", "row 2: unknown key gpu"),
        (", experiment: points/diverse}", "}", r"row 2 \(B\): give an experiment"),
        ("paper: 30.7", "paper: thirty", "'thirty'; give per cent"),
        ("paper: 30.7", "paper: 307", "307; give per cent"),
        ("paper: 30.7", "paper: true", "True; give per cent"),
        ("[sampler.k=5]", "sampler.k=5", "overrides: give a list"),
        ("metric: val/miou", "metric: [1", "cannot be read as YAML"),
        ("metric: val/miou", "setting: VOC\nmetric: val/miou", "setting: expected a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in GOOD
    path = _write(tmp_path / "table9.yaml", GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=reason) as caught:
        read_spec(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n", "title: A\nsource: B\nmetric: c\nrows: []\n"])
def test_a_table_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"table9\.yaml"):
        read_spec(_write(tmp_path / "table9.yaml", text))
