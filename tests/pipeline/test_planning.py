"""What a plan holds, and every mistake that it finds before anything runs: one sentence each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_stages import MakePlan, stage
from filelock import FileLock
from omegaconf import OmegaConf

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.planning import plan_config

PARTS = [{"_target_": "fake_stages.Part", "size": 2}, {"_target_": "fake_stages.BigPart", "size": 3, "name": "x"}]
NO_WEIGHTS = ["backbone.weights=null"]


def _sentence(action: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and "Traceback" not in message, message
    return message


def test_only_the_stages_that_the_result_needs_are_planned_in_their_order(make_plan: MakePlan) -> None:
    stages = {
        "last": stage("write", previous=["${artifact:left}", "${artifact:right}"]),
        "right": stage("write", value=2, previous="${artifact:first}"),
        "left": stage("write", value=1, previous="${artifact:first}"),
        "unused": stage("write", value=3),
        "first": stage("write"),
    }
    plan = make_plan(stages, result="last")
    assert list(plan.stages) == ["first", "left", "right", "last"]
    assert plan.final.upstream == {name: plan.stages[name].key for name in ("left", "right")}


def test_a_long_chain_is_planned(make_plan: MakePlan) -> None:
    stages = {"s0": stage("write")}
    stages |= {f"s{i}": stage("write", previous=f"${{artifact:s{i - 1}}}") for i in range(1, 100)}
    assert len(make_plan(stages).stages) == 100


def test_the_status_tells_what_would_happen(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan({"only": stage("write")})
    planned = plan.final
    assert planned.status() == "to run"
    planned.folder.mkdir(parents=True)
    assert planned.status() == "half done"
    (tmp_path / "store" / ".locks").mkdir()
    with FileLock(tmp_path / "store" / ".locks" / f"{planned.folder.name}.lock"):
        assert planned.status() == "running"
    assert planned.status() == "half done"
    pipeline.run(plan)
    assert planned.status() == "cached"


def test_a_cycle(make_plan: MakePlan) -> None:
    stages = {"a": stage("write", previous="${artifact:b}"), "b": stage("write", previous="${artifact:a}")}
    assert "b -> a -> b" in _sentence(lambda: make_plan(stages))


def test_a_stage_that_reads_itself(make_plan: MakePlan) -> None:
    assert "a -> a" in _sentence(lambda: make_plan({"a": stage("write", previous="${artifact:a}")}))


def test_an_unknown_stage(make_plan: MakePlan) -> None:
    message = _sentence(lambda: make_plan({"a": stage("write", previous="${artifact:typo}")}))
    assert "typo" in message and "which a reads" in message


def test_an_unknown_result(make_plan: MakePlan) -> None:
    assert "no stage typo" in _sentence(lambda: make_plan({"a": stage("write")}, result="typo"))


def test_a_result_left_open(make_plan: MakePlan) -> None:
    assert "result" in _sentence(lambda: make_plan({"a": stage("write")}, result="???"))


@pytest.mark.parametrize("node", [None, {}, {"out_dir": "${out_dir:}"}, "text"])
def test_a_stage_without_a_function(make_plan: MakePlan, node: Any) -> None:
    assert "stages.a has no _target_" in _sentence(lambda: make_plan({"a": node}))


def test_a_missing_value(make_plan: MakePlan) -> None:
    assert "stages.a.value" in _sentence(lambda: make_plan({"a": stage("write", value="???")}))


def test_a_data_root_left_open(make_plan: MakePlan) -> None:
    data = {"_target_": "builtins.dict", "root": "???"}
    assert "data.root" in _sentence(lambda: make_plan({"a": stage("write", data="${data}")}, data=data))


def test_a_data_root_that_is_null(make_plan: MakePlan) -> None:
    data = {"_target_": "builtins.dict", "root": None}
    assert "data.root=" in _sentence(lambda: make_plan({"a": stage("write", data="${data}")}, data=data))


def test_an_unknown_reference(make_plan: MakePlan) -> None:
    assert "'typo' not found" in _sentence(lambda: make_plan({"a": stage("write", value="${typo}")}))


def test_a_reference_to_a_stage_outside_of_the_stages(make_plan: MakePlan) -> None:
    message = _sentence(lambda: make_plan({"a": stage("write")}, card={"from": "${artifact:a}"}))
    assert "${artifact:a} stands outside" in message


def test_a_broken_runtime_setting(make_plan: MakePlan) -> None:
    message = _sentence(lambda: make_plan({"a": stage("write")}, runtime={"workers": "${oc.decode:'['}"}))
    assert "runtime.workers" in message


def test_a_missing_data_folder(make_plan: MakePlan) -> None:
    data = {"_target_": "builtins.dict", "root": "/no/such/folder"}
    message = _sentence(lambda: make_plan({"a": stage("write", data="${data}")}, data=data))
    assert "/no/such/folder" in message and "data.root=" in message


def test_a_missing_weights_file(make_plan: MakePlan) -> None:
    node = stage("write", weights="${weights:/no/such/file.pth}")
    assert "/no/such/file.pth" in _sentence(lambda: make_plan({"a": node}))


def test_a_misspelt_parameter(make_plan: MakePlan) -> None:
    message = _sentence(lambda: make_plan({"a": stage("write", valeu=1)}))
    assert "stages.a" in message and "valeu" in message and "value" in message


def test_a_missing_parameter(make_plan: MakePlan) -> None:
    assert "needs a value for value" in _sentence(lambda: make_plan({"a": stage("refuse")}))


@pytest.mark.parametrize("target", ["no_such_package.f", "fake_stages.no_such_function", "nothing", "fake_stages"])
def test_an_unknown_function(make_plan: MakePlan, target: str) -> None:
    message = _sentence(lambda: make_plan({"a": {"_target_": target, "out_dir": "${out_dir:}"}}))
    assert "stages.a._target_" in message and target in message


def test_nested_nodes_are_checked_too(make_plan: MakePlan) -> None:
    assert make_plan({"a": stage("part_sizes", parts=PARTS)}).stages
    wrong = [PARTS[0], {**PARTS[1], "sise": 3}]
    assert "stages.a.parts[1]" in _sentence(lambda: make_plan({"a": stage("part_sizes", parts=wrong)}))
    missing = [{"_target_": "fake_stages.BigPart"}]
    assert "needs a value for size" in _sentence(lambda: make_plan({"a": stage("part_sizes", parts=missing)}))


def test_a_partial_node_may_leave_parameters_open_but_not_misspell_them(make_plan: MakePlan) -> None:
    open_node = {"_target_": "fake_stages.Part", "_partial_": True}
    assert make_plan({"a": stage("write", value=open_node)}).stages
    assert "sise" in _sentence(lambda: make_plan({"a": stage("write", value={**open_node, "sise": 1})}))


@pytest.mark.parametrize("devices", ["auto", -1, 0, "2"])
def test_devices_must_be_counted(make_plan: MakePlan, devices: Any) -> None:
    node = stage("ranks", trainer={"devices": devices})
    assert f"trainer.devices={devices}" in _sentence(lambda: make_plan({"a": node}))


def test_machines_must_be_counted_and_share_batches(make_plan: MakePlan) -> None:
    for count in ("auto", 0):
        node = stage("ranks", trainer={"num_nodes": count})
        assert f"trainer.num_nodes={count}: give the number" in _sentence(lambda node=node: make_plan({"a": node}))
    assert make_plan({"a": stage("ranks", trainer={"devices": 2, "num_nodes": 2})})
    assert "shared by 4 devices" in _sentence(
        lambda: pipeline.plan(
            [*NO_WEIGHTS, "data.batch_size=3", "method=priors", "trainer.devices=2", "trainer.num_nodes=2"]
        )
    )


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("seeed=1", "seeed"),
        ("stages.features.grid=3", "grid"),
        ("+stages.features.grid=3", "grid"),
        ("sampler=typo", "diverse"),
        ("experiment=points/typo", "points/typo"),
        ("result=typo", "typo"),
        ("seed=${typo}", "typo"),
        ("seed=[", "["),
        ("--config-dir", "--config-dir"),
        ("paths.store=???", "paths.store"),
    ],
)
def test_mistakes_in_overrides(override: str, word: str) -> None:
    assert word in _sentence(lambda: pipeline.plan([*NO_WEIGHTS, override]))


def test_a_config_without_the_optional_groups_is_planned(tmp_path: Path) -> None:
    config = OmegaConf.create({"paths": {"store": str(tmp_path)}, "stages": {"a": stage("write")}, "result": "a"})
    assert plan_config(config).card == {}


@pytest.mark.parametrize("arguments", [["--help"], ["plan", *NO_WEIGHTS]])
def test_help_and_plan_import_no_torch(arguments: list[str]) -> None:
    program = f"""
import sys
sys.argv = ["wsss", *{arguments!r}]
from wsss_lightning import cli
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code, ended.code
assert not {{"torch", "pytorch_lightning", "numpy"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+trainer.logger=false", r"stages\.\w+\.trainer\.logger is decided by the stage: leave it out\."),
        ("+trainer.enable_progress_bar=true", "enable_progress_bar is decided by the stage"),
        ("+trainer.limit_predict_batches=2", "limit_predict_batches is decided by the stage"),
        ("+trainer.limit_test_batches=2", "limit_test_batches is decided by the stage"),
        ("+trainer.barebones=true", "barebones is decided by the stage"),
        ("+trainer.strategy=fsdp", r"stages\.\w+\.trainer\.strategy=fsdp: choose one of auto, ddp, ddp_find"),
        ("+trainer.profiler=simple", "profiler is decided by the stage"),
        ("data.size=[64,96]", r"stages\.features: data\.size=\[64, 96\] is too small for tiny, .* see 96 x 96 px"),
        ("data.size=95", r"data\.size=95 is too small for tiny, .*: set 'data\.size=\[96,96\]' or more"),
        (
            "stages.classifier.trainer.devices=101",
            r"stages\.classifier: a batch of 100 cannot be shared by 101",
        ),
        (
            "stages.localizers.trainer.accumulate_grad_batches=2",
            r"stages\.localizers learns from one image a step: set .*accumulate_grad_batches=1",
        ),
    ],
)
def test_what_a_stage_is_given_in_vain_or_cannot_do_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pipeline.plan([*NO_WEIGHTS, override])


def test_only_what_sees_the_whole_image_needs_a_least_size() -> None:
    for override in ("points.global_features=false", "method=cam", "backbone=resnet18"):
        assert pipeline.plan([override, "backbone.weights=null", "data.size=[64,64]"])


def test_images_of_several_sizes_one_at_a_time_cannot_be_shared() -> None:
    with pytest.raises(
        InputError, match=r"stages\.segmenter: a batch of 1 cannot be shared by 2 .* set stages\.\S+\.devices=1\.$"
    ):
        pipeline.plan([*NO_WEIGHTS, "method=priors", "trainer.devices=2"])
    machines = [*NO_WEIGHTS, "method=priors", "trainer.devices=2", "trainer.num_nodes=2"]
    with pytest.raises(InputError, match="shared by 4 devices") as refused:
        pipeline.plan(machines)
    assert pipeline.plan([*machines, *str(refused.value).removesuffix(".").split(" set ")[1].split()])
    assert pipeline.plan([*NO_WEIGHTS, "method=priors", "trainer.devices=2", "stages.segmenter.trainer.devices=1"])
    batches = pipeline.plan([*NO_WEIGHTS, "method=priors", "trainer.devices=2", "ablation=priors/batches"])
    assert "8 images a step" in batches.card["segmenter_images"]


def test_devices_share_the_classes_of_localizers_whatever_the_batch() -> None:
    assert pipeline.plan([*NO_WEIGHTS, "trainer.devices=2", "data.batch_size=1"])


@pytest.mark.parametrize("options", [["+trainer.max_steps=3"], ["callbacks=early_stopping"]])
def test_a_shorter_training_keeps_what_is_only_looked_at(options: list[str]) -> None:
    for method, kept, other in (("points", "features", "localizers"), ("cam", "maps", "classifier")):
        asked = [*NO_WEIGHTS, f"method={method}", f"result={other}"]
        plain, short = (pipeline.plan([*asked, *own]).stages for own in ([], options))
        assert plain[kept].key == short[kept].key and plain[other].key != short[other].key


def test_early_stopping_looks_before_training_ends() -> None:
    options = ["callbacks=early_stopping", "stages.classifier.callbacks=null"]  # which has no held-out images
    node = pipeline.plan([*NO_WEIGHTS, *options]).stages["localizers"].node
    assert node["trainer"]["val_check_interval"] == 0.1
    assert node["callbacks"]["early_stopping"]["monitor"] == "val/tag_ap"


@pytest.mark.parametrize("option", ["callbacks=[]", "max_steps=5", "max_epochs=2", "limit_train_batches=3"])
def test_what_a_trainer_is_given_to_some_effect_makes_another_key(option: str) -> None:
    assert pipeline.plan([*NO_WEIGHTS, f"+trainer.{option}"]).final.key != pipeline.plan(NO_WEIGHTS).final.key
