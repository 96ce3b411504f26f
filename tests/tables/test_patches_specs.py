"""The tables and figures of the patches paper as their files say them."""

from __future__ import annotations

from wsss_lightning.tables.spec import SpecRow, find_spec, read_spec


def rows(table: str) -> list[SpecRow]:
    return read_spec(find_spec(f"patches/{table}")).rows


def test_table_2_is_the_papers() -> None:
    """Row by row as printed: foreground, background and AP of cat, then of dog."""
    printed = {
        "max1": (32.29, 99.02, 22.91, 56.66, 96.28, 19.24),
        "LSE1": (49.25, 98.96, 34.36, 49.33, 97.97, 21.15),
        "max2": (40.46, 97.93, 21.70, 40.96, 96.89, 16.52),
        "LSE2": (56.50, 97.74, 29.07, 43.12, 96.89, 17.65),
    }
    found = {row.name: row for row in rows("table2")}
    for name, numbers in printed.items():
        for animal, expected in (("cat", numbers[:3]), ("dog", numbers[3:])):
            row = found[f"{name}, {animal}"]
            assert tuple(row.paper[f"val/{metric}"] for metric in ("foreground", "background", "ap")) == expected
            assert (row.experiment, row.overrides) == (f"patches/{name.lower()}", [f"patches.target={animal}"])
    supervised = [row.paper["val/ap"] for row in rows("table2") if row.experiment is None]
    assert supervised == [53.5, 49.0, 42.2, 47.4]


def test_classification_is_the_papers() -> None:
    assert [row.paper["val/classified"] for row in rows("classification")] == [92.48, 85.70]


def test_figure_5_has_a_curve_for_every_row_of_table_2() -> None:
    ours = {(row.experiment, row.overrides[-1]) for row in rows("table2") if row.experiment}
    assert {(row.experiment, row.overrides[-1]) for row in rows("figure5")} == ours
    heading = read_spec(find_spec("patches/figure5")).heading
    assert (heading.per_class, heading.profile) == ("train/ap/", "threshold")


def test_the_curve_of_sharpness_goes_from_the_mean_to_the_maximum() -> None:
    placed = [(row.x, row.overrides) for row in rows("sharpness") if row.x is not None]
    assert [x for x, _ in placed] == [-1, -0.5, 0, 0.5, 1, 1.5, 2]
    for x, overrides in placed:
        sharpness = float(overrides[0].partition("=")[2]) if overrides else 1.0
        assert abs(10**x / sharpness - 1) < 0.01
    assert [row.experiment for row in rows("sharpness") if row.x is None] == ["patches/mean1", "patches/max1"]


def test_the_papers_thresholds() -> None:
    fixed = [row.overrides for row in rows("options") if row.experiment == "patches/fixed_threshold"]
    assert fixed == [["patches.threshold=0.6"], ["patches.threshold=0.8"]]
    printed = {row.name: row.paper["train/threshold"] for row in rows("figure5") if row.paper}
    assert printed == {"LSE1, cat": 60, "LSE1, dog": 80}
