"""Files that a config is made of, those that others include too, and whose they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError


def _searched(folder: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# @package _global_\n{content}\n")
    return f"hydra.searchpath=[{folder}]"


@pytest.mark.parametrize(
    "entry", ["{/ablation/cam: plain}", "/ablation/cam/plain@_global_", "{/experiment/cam: student}"]
)
def test_what_another_file_includes_must_be_of_the_method_too(tmp_path: Path, entry: str) -> None:
    files = {"experiment/points/row": f"defaults: [{entry}, override /method: points]"}
    with pytest.raises(
        InputError, match=rf"^{tmp_path}/experiment/points/row\.yaml: .*cam/\w+ is one of method=cam, not"
    ):
        pipeline.plan([_searched(tmp_path, files), "experiment=points/row"])


@pytest.mark.parametrize("folder", ["mine", "cam"])
def test_an_experiment_is_of_the_method_that_it_chooses(tmp_path: Path, folder: str) -> None:
    files = {f"experiment/{folder}/row": "defaults: [{/ablation/mine: own}, override /method: points]"}
    place = _searched(tmp_path, files | {"ablation/mine/own": "points: {half: false}"})
    planned = pipeline.plan([place, "backbone.weights=null", f"experiment={folder}/row"])
    assert planned.choices["method"] == "points" and planned.choices["ablations"] == ["mine/own"]
    with pytest.raises(InputError, match=rf"^experiment={folder}/row is one of method=points, not of cam"):
        pipeline.plan([place, f"experiment={folder}/row", "method=cam"])


def test_all_ablations_in_force_are_told() -> None:
    chosen = pipeline.plan(["experiment=priors/photographs", "backbone.weights=null"]).choices["ablations"]
    assert {"priors/photographs", "priors/frozen", "priors/pairs"} <= set(chosen)


def test_a_file_that_is_no_yaml_is_one_sentence(tmp_path: Path) -> None:
    place = _searched(tmp_path, {"ablation/points/mine": "points: {half"})
    with pytest.raises(InputError, match=rf"^{tmp_path}/ablation/points/mine\.yaml cannot be read as YAML: "):
        pipeline.plan([place, "ablation=points/mine"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("- a", r"holds no settings, but \"\['a'\]\": write NAME: VALUE\."),
        ("half", r"holds no settings, but 'half'"),
        ("defaults: 3", ": defaults=3 is no list of files"),
        ("defaults: {a: 3}", ": defaults={'a': 3} is no list"),
        ("defaults: [{/ablation/points: 3}]", r": defaults=\[{'/ablation/points': 3}\] is no list"),
        ("defaults: [[1]]", r": defaults=\[\[1\]\] is no list"),
    ],
)
def test_a_file_of_another_form_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    place = _searched(tmp_path, {"ablation/points/mine": content})
    with pytest.raises(InputError, match=f"^{tmp_path}/ablation/points/mine.yaml ?{sentence}"):
        pipeline.plan([place, "ablation=points/mine"])


def test_a_key_that_a_file_has_twice_is_told_with_its_line(tmp_path: Path) -> None:
    place = _searched(tmp_path, {"ablation/points/mine": "points: {k: 3}\npoints: {k: 4}"})
    told = rf"^{tmp_path}/ablation/points/mine\.yaml, line \d, cannot be read as YAML: found duplicate key points\.$"
    with pytest.raises(InputError, match=told):
        pipeline.plan([place, "ablation=points/mine"])


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [("points/k5", "points/k10", r"sampler\.k"), ("points/top", "points/spatial", "sampler")],
)
def test_an_ablation_of_which_another_leaves_nothing_is_refused(first: str, second: str, what: str) -> None:
    with pytest.raises(InputError, match=f"^ablation={first} has no effect before {second}, which sets {what}, too"):
        pipeline.plan([f"ablation=[{first},{second}]", "backbone.weights=null"])


@pytest.mark.parametrize(
    "ablations", ["points/k5,points/top", "points/pixel_softmax,points/k5", "points/frozen,points/activations"]
)
def test_ablations_that_leave_each_other_something_or_include_each_other_are_not(ablations: str) -> None:
    named = pipeline.plan([f"ablation=[{ablations}]", "backbone.weights=null"]).choices["ablations"]
    assert set(ablations.split(",")) <= set(named)


def test_what_an_ablation_only_notes_is_no_effect(tmp_path: Path) -> None:
    files = {"ablation/points/noted": "sampler: {k: 7}\ncard: {note: mine}"}
    with pytest.raises(InputError, match="ablation=points/noted has no effect before points/k5"):
        pipeline.plan([_searched(tmp_path, files), "ablation=[points/noted,points/k5]", "backbone.weights=null"])
