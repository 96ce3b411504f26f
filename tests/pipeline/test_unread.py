"""Settings that nothing reads, in every place that a user can write one."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.unread import _named, _overlap

RANDOM = "backbone.weights=null"
SECTIONS = [
    *("target", "stand_ins", "scenes", "maps_of_source", "run", "runtime", "paths", "logger"),
    "backbone",
]


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
        ("crf: {iteration: 4}", "crf: wsss_lightning.ops.crf.dense_crf has no parameter iteration; it knows"),
        ("crf: {_target_: wsss_lightning.ops.crf.dense_crf, _partial_: true, iteration: 4}", "no parameter iteration"),
        ("data: {sizee: 4}", "no parameter sizee"),
        ("source: {foo: 1}", "source: wsss_lightning.data.voc.VOCDataModule has no parameter foo"),
        ("sampler: {kk: 5}", "no parameter kk"),
        *((f"{section}: {{foo: 1}}", f"no stage reads {section}.foo") for section in SECTIONS),
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
        ("stages: {clasifier: {steps: 5}}", r"stages\.clasifier has no _target_, only steps"),
        (
            "stages: {classifier: {trainer: {max_stepz: 5}}}",
            r"stages\.classifier\.trainer: \S+ has no parameter max_stepz",
        ),
        (
            "stages: {tagged: {predictions: '${artifact:predicttions}'}}",
            r"stages\.tagged: predictions reads the stage predicttions, which there is not; the stages are ",
        ),
        ("optimizer: {momentun: 0.5}", r"optimizer: .* has no parameter momentun"),
        ("stages: {classifier: {stepss: 5}}", r"stages\.classifier: .* has no parameter stepss"),
        ("stages: {test_predictions: {spilt: test}}", r"stages\.test_predictions: .* has no parameter spilt"),
    ],
)
def test_a_misspelt_stage_or_parameter_of_a_file_is_refused_whether_it_is_needed_or_not(
    tmp_path: Path, content: str, message: str
) -> None:
    place = _with_file(tmp_path, "ablation/points/mine", content)
    with pytest.raises(InputError, match=f"^{tmp_path}/ablation/points/mine.yaml: {message}"):
        pipeline.plan([place, RANDOM, "optimizer=sgd", "ablation=points/mine"])


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        ("points: {half: false}\ntuning: {classifier: {steps: 5}}", True),
        ("crf: {iterations: 4}\nscenes: {textured: part}\nstand_ins: {cat: dot_egg}\nrun: {tags: [a]}", False),
        ("logger: {own: {_target_: pytorch_lightning.loggers.CSVLogger, save_dir: x}}\ncard: {noted: by me}", False),
    ],
)
def test_what_a_file_says_rightly_is_read(tmp_path: Path, content: str, changes: bool) -> None:
    place = _with_file(tmp_path, "ablation/points/mine", content)
    planned = pipeline.plan([place, RANDOM, "ablation=points/mine"])
    assert (planned.final.key != pipeline.plan([RANDOM]).final.key) == changes


def test_a_file_that_another_file_includes_is_checked_too(tmp_path: Path) -> None:
    _with_file(tmp_path, "ablation/points/mine", "points: {halff: false}")
    place = _with_file(tmp_path, "experiment/points/row", "defaults:\n  - /ablation/points: mine")
    with pytest.raises(InputError, match=r"ablation/points/mine\.yaml: no stage reads points\.halff"):
        pipeline.plan([place, RANDOM, "experiment=points/row"])


@pytest.mark.parametrize(
    "override",
    [
        *("+points.halff=false", "+coseg.wrong=0.1", "stand_in.cat=x", "+given.x=1", "+source.foo=1"),
        *(f"+{section}.nonsense=3" for section in ("crf", "data", "run", "runtime", "logger", "logger.csv", "paths")),
    ],
)
def test_an_addition_on_the_command_line_that_no_stage_reads_is_refused(override: str) -> None:
    with pytest.raises(InputError, match=override.strip("+").partition("=")[0].rpartition(".")[2]):
        pipeline.plan([RANDOM, override])


def test_a_card_holds_what_one_notes_and_settings_of_jobs_may_be_set() -> None:
    noted = pipeline.plan([RANDOM, "+card.noted=by me", "run.tags=[a]", "runtime.workers=3", "crf.iterations=4"])
    assert noted.card["noted"] == "by me" and noted.final.key == pipeline.plan([RANDOM]).final.key


def test_what_stands_for_a_setting_of_the_same_name_is_set_there() -> None:
    with pytest.raises(InputError, match=r"command line: given\.seed stands for seed: say seed="):
        pipeline.plan([RANDOM, "given.seed=3"])


@pytest.mark.parametrize(
    "chosen",
    [
        ["method=points", "source=web"],
        ["experiment=priors/fusion_regions", "source=shapes_web"],
        ["method=patches", "crf=sec"],
    ],
)
def test_what_is_chosen_and_no_stage_reads_is_refused_but_where_others_may_read_it(chosen: list[str]) -> None:
    with pytest.raises(InputError, match=rf"^{chosen[1]}: no stage of method=\w+ reads \w+: leave it out"):
        pipeline.plan([RANDOM, *chosen])
    without = pipeline.plan([RANDOM, chosen[0]]).final.key
    assert pipeline.plan([RANDOM, *chosen], several=True).final.key == without


def test_the_source_that_is_the_data_may_be_said_of_any_method() -> None:
    assert pipeline.plan([RANDOM, "source=same"]).final.key == pipeline.plan([RANDOM]).final.key


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


def test_a_card_that_tells_a_section_makes_no_setting_of_it_true() -> None:
    given = ["method=cam", "backbone.weights=null"]
    assert pipeline.plan([*given, "cam.labels.background=0.2"])
    with pytest.raises(InputError, match=r"^command line: no stage reads cam\.labels\.backgroud"):
        pipeline.plan([*given, "+cam.labels.backgroud=0.2"])


def test_a_group_that_is_added_and_that_no_stage_reads_is_refused() -> None:
    with pytest.raises(InputError, match=r"^sampler=top: no stage of method=cam reads sampler: leave it out\.$"):
        pipeline.plan(["method=cam", RANDOM, "+sampler=top"])
