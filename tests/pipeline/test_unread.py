"""Settings that nothing reads, in every place that a user can write one."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.unread import _named, _overlap

RANDOM = "backbone.weights=null"


def _with_file(folder: Path, name: str, content: str) -> str:
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# @package _global_\n{content}\n")
    return f"hydra.searchpath=[{folder}]"


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("points: {halff: false}", "points.halff"),
        ("tuning: {classifier: {stepss: 5}}", "tuning.classifier.stepss"),
        ("backbone: {points: {classifier: {steps: 5}}}", "backbone.points.classifier.steps"),
        ("priors: {combine: {alpha: 1.0}}", "priors.combine.alpha"),
        ("given: {convolutoin: 1}", "given.convolutoin"),
        ("some: {thing: 1}", "some.thing"),
    ],
)
@pytest.mark.parametrize("group", ["ablation", "experiment"])
def test_a_key_of_a_file_that_no_stage_reads_is_refused_with_file_and_key(
    tmp_path: Path, group: str, content: str, key: str
) -> None:
    place = _with_file(tmp_path, f"{group}/points/mine", content)
    with pytest.raises(InputError) as caught:
        pipeline.plan([place, RANDOM, f"{group}=points/mine"])
    assert f"{tmp_path}/{group}/points/mine.yaml" in str(caught.value) and key in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("stages: {clasifier: {steps: 5}}", r"stages\.clasifier has no _target_"),
        ("stages: {classifier: {stepss: 5}}", r"stages\.classifier: .* has no parameter stepss"),
        ("stages: {test_predictions: {spilt: test}}", r"stages\.test_predictions: .* has no parameter spilt"),
        ("sampler: {kk: 5}", "has no parameter kk"),
    ],
)
def test_a_misspelt_stage_or_parameter_of_a_file_is_refused_whether_it_is_needed_or_not(
    tmp_path: Path, content: str, message: str
) -> None:
    place = _with_file(tmp_path, "ablation/points/mine", content)
    with pytest.raises(InputError, match=message):
        pipeline.plan([place, RANDOM, "ablation=points/mine"])


def test_what_a_file_says_rightly_is_read(tmp_path: Path) -> None:
    place = _with_file(tmp_path, "ablation/points/mine", "points: {half: false}\ntuning: {classifier: {steps: 5}}")
    assert pipeline.plan([place, RANDOM, "ablation=points/mine"]).final.key != pipeline.plan([RANDOM]).final.key


def test_a_file_that_another_file_includes_is_checked_too(tmp_path: Path) -> None:
    _with_file(tmp_path, "ablation/points/mine", "points: {halff: false}")
    place = _with_file(tmp_path, "experiment/points/row", "defaults:\n  - /ablation/points: mine")
    with pytest.raises(InputError, match=r"ablation/points/mine\.yaml: no stage reads points\.halff"):
        pipeline.plan([place, RANDOM, "experiment=points/row"])


@pytest.mark.parametrize("override", ["+points.halff=false", "+coseg.wrong=0.1", "stand_in.cat=x", "+given.x=1"])
def test_an_addition_on_the_command_line_that_no_stage_reads_is_refused(override: str) -> None:
    with pytest.raises(InputError):
        pipeline.plan([RANDOM, override])


@pytest.mark.parametrize("method", ["points", "coseg"])
def test_an_ablation_of_another_method_is_refused_with_the_right_one(method: str) -> None:
    with pytest.raises(InputError, match=rf"^ablation=priors/pairs is one of method=priors, not of {method}"):
        pipeline.plan([RANDOM, f"method={method}", "ablation=priors/pairs"])
    with pytest.raises(InputError, match="not of points"):
        pipeline.plan([RANDOM, "ablation=[points/top,priors/pairs]"])


def test_a_stage_may_have_its_own_trainer_and_any_parameter_without_a_plus() -> None:
    plan = pipeline.plan([RANDOM, "stages.localizers.trainer.devices=2"])
    assert plan.stages["localizers"].node["trainer"]["devices"] == 2
    assert plan.stages["classifier"].node["trainer"]["devices"] == 1
    assert pipeline.plan([RANDOM, "stages.localizers.seed=7"]).stages["localizers"].node["seed"] == 7


def test_names_inside_of_names_are_followed() -> None:
    config = {"heads": {"one": {"size": 3}}, "which": "one", "list": [1, 2]}
    text = "${heads.${which}.size} ${oc.select:list[1],4} ${out_dir:}"
    assert dict(_named(text, config)) == {"which": "one", "heads.*.size": 3, "list.1": 2}
    assert _overlap("heads.two.size", "heads.*.size") and not _overlap("heads.two.sizes", "heads.*.size")
