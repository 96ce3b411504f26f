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


def _printed(table: str, metric: str = "val/miou") -> dict[str, float]:
    return {row.name: row.paper[metric] for row in read_spec(find_spec(table)).rows if metric in row.paper}


def test_points_table_1_is_the_papers() -> None:
    assert _printed("points/table1") == {"Pixel softmax": 38.0, "Global softmax": 40.6}


def test_points_table_3_is_the_papers() -> None:
    spec = read_spec(find_spec("points/table3"))
    assert spec.heading.axis == "k, points per class and image"
    assert [row.x for row in spec.rows] == [1, 5, 10, 20, 50]
    assert list(_printed("points/table3").values()) == [35.1, 37.2, 39.3, 40.6, 40.4]
    for row in spec.rows:  # k = 20 is the sampler's default
        assert row.overrides == ([] if row.x == 20 else [f"sampler.k={row.x:g}"]), row.name


def test_points_table_4_is_the_papers() -> None:
    val, test = _printed("points/table4"), _printed("points/table4", "test/miou")
    assert list(val.values()) == [68.7, 74.8, 62.0, 60.6, 35.1, 42.7, 49.8, 36.6, 35.3, 38.2, 40.6, 45.2, 50.7]
    assert list(test.values()) == [71.6, 77.3, 64.6, 62.2, 51.2, 35.8, 35.6, 39.6, 41.2, 46.0, 51.5]
    assert val.keys() - test.keys() == {"1 point [23]", "1 point+Obj [23]"}
    ours = {row.experiment: row.paper["test/miou"] for row in read_spec(find_spec("points/table4")).rows[10:12]}
    assert ours == {"points/diverse": 41.2, "points/diverse_crf": 46.0}


def test_points_thresholds_are_all_shown() -> None:
    spec = read_spec(find_spec("points/thresholds"))
    assert [row.x for row in spec.rows] == [tenths / 10 for tenths in range(10)]
    assert all(row.overrides == [f"points.threshold={row.x}"] for row in spec.rows)
    assert _printed("points/thresholds") == {"tau = 0.2": 25.66}


@pytest.mark.parametrize("path", sorted(project_folder("experiments").glob("*/*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_table_names_experiments_that_exist(path: Path) -> None:
    for row in read_spec(path).rows:
        assert row.experiment is None or (project_folder("conf") / f"experiment/{row.experiment}.yaml").is_file()


def test_a_number_stands_for_the_tables_metric_and_a_mapping_for_itself(tmp_path: Path) -> None:
    rows = read_spec(_write(tmp_path / "table9.yaml", GOOD)).rows
    assert [row.paper for row in rows] == [{"val/miou": 30.7}, {}, {"val/miou": 15.0, "val/iou/cat": 20.5}]
    assert rows[0].overrides == ["sampler.k=5"]
    assert (rows[2].experiment, rows[2].footnote) == (None, "another split")


def test_rows_may_stand_on_an_axis(tmp_path: Path) -> None:
    text = GOOD.replace("name: A,", "name: A, x: 5,").replace("name: C,", "name: C, x: -0.5,")
    spec = read_spec(_write(tmp_path / "table9.yaml", f"axis: k\n{text}"))
    assert (spec.heading.axis, [row.x for row in spec.rows]) == ("k", [5.0, None, -0.5])
    without = read_spec(_write(tmp_path / "table9.yaml", GOOD))
    assert (without.heading.axis, [row.x for row in without.rows]) == (None, [None, None, None])


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
        ("name: B,", "name: B, x: 5,", "row 'B' has an x, but the table has no axis"),
        ("name: A,", "name: A, x: five,", "row 1: x is 'five'; give a number"),
        ("name: A,", "name: A, x: true,", "row 1: x is True; give a number"),
        ("name: A,", "name: A, x: .nan,", "row 1: x is nan; give a number"),
        ("metric: val/miou", "axis: k\nmetric: val/miou", "axis 'k': give at least two rows an x"),
        ("metric: val/miou", "axis: 5\nmetric: val/miou", "axis is missing: give it as text"),
        ("metric: val/miou", "setting: {choices: [1]}\nmetric: val/miou", r"choices is \[1\]; give a mapping"),
        ("metric: val/miou", "setting: {choices: {dta: voc}}\nmetric: val/miou", "no group dta; the groups are ab"),
        ("metric: val/miou", "setting: {choices: {data: 3}}\nmetric: val/miou", "data is 3; give the name of a file"),
        ("metric: val/miou", "metric: " + "[" * 3000, "nested too deep|cannot be read as YAML"),
        ("metric: val/miou", "metric: 2020-13-45", "cannot be read as YAML: month must be"),
        ("metric: val/miou", "metric: {[1]: 2}", "cannot be read as YAML|metric is missing"),
        ("metric: val/miou", "metric: \0", "cannot be read as YAML"),
        ("reference: B", "reference: [1]", r"reference \[1\] is no row"),
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


@pytest.mark.parametrize("other", ["", "x: 5.0, "], ids=["one x", "one x twice"])
def test_an_axis_needs_two_places(tmp_path: Path, other: str) -> None:
    text = GOOD.replace("name: A,", "name: A, x: 5,").replace("name: B,", f"{other}name: B,")
    with pytest.raises(InputError, match=r"table9\.yaml: axis 'k': give at least two rows an x"):
        read_spec(_write(tmp_path / "table9.yaml", f"axis: k\n{text}"))


def test_values_per_class_belong_to_the_metric() -> None:
    known, right = (read_spec(find_spec(f"points/{name}")).heading for name in ("add_class", "quality"))
    assert (known.per_class, known.per_class_title) == ("val/iou/", "IoU per class")
    assert (right.per_class, right.per_class_title) == ("train/points/right/", "Per class")


def test_priors_tables_4_and_5_are_the_papers() -> None:
    printed = _printed("priors/table4", "train/miou")
    assert list(printed.values()) == [52.34, 50.20, 60.08]
    assert [row.experiment for row in read_spec(find_spec("priors/table4")).rows][:2] == [None, None]
    assert list(_printed("priors/table5").values()) == [43.0, 46.6]


def test_a_mean_iou_of_any_split_has_the_iou_of_its_classes(tmp_path: Path) -> None:
    for metric, prefix in (("val/miou", "val/iou/"), ("train/miou", "train/iou/"), ("train/cam", "train/cam/")):
        heading = read_spec(_write(tmp_path / "t.yaml", GOOD.replace("val/miou\nref", f"{metric}\nref"))).heading
        assert heading.per_class == prefix
        assert heading.per_class_title == ("IoU per class" if prefix.endswith("/iou/") else "Per class")
