"""Every file below conf/: it composes, plans, names real functions with real parameters, and says nothing twice."""

from __future__ import annotations

import importlib.util
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_data import write_voc
from hydra.utils import get_object

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.calls import arguments
from wsss_lightning.pipeline.configuration import plain_dict, project_folder
from wsss_lightning.pipeline.expansion import expand
from wsss_lightning.pipeline.planning import plan_config
from wsss_lightning.pipeline.signatures import signature_of

CONF = project_folder("conf")
FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
DELTAS = [path for path in FILES if path.parts[0] in {"experiment", "ablation"}]
EXPERIMENTS = [path for path in DELTAS if path.parts[0] == "experiment"]
ABLATIONS = [path for path in DELTAS if path.parts[0] == "ablation"]
SWEEPS = [path for path in FILES if path.parts[0] == "sweep"]
BACKBONES = sorted(path.stem for path in FILES if path.parts[0] == "backbone")
METHODS = sorted(path.stem for path in FILES if path.parts[0] == "method")
DEFAULT = {"points": "diverse", "patches": "lse1"}  # an experiment that is the method as it is
RANDOM = "backbone.weights=null"  # the shipped and the published weights need not be here


def _read(path: Path) -> Any:
    return yaml.safe_load((CONF / path).read_text(encoding="utf-8")) or {}


def _select(path: Path) -> list[str]:
    """The overrides that select a file of a config group; an ablation goes with its method."""
    chosen = f"{path.parts[0]}={Path(*path.parts[1:]).with_suffix('').as_posix()}"
    method = [f"method={path.parts[1]}"] if path.parts[0] in {"ablation", "tuning"} else []
    return [*method, f"backbone={path.stem}" if path.parts[0] == "tuning" else chosen]


def _targets(node: Any) -> list[dict[str, Any]]:
    """Every mapping with a `_target_` in a YAML tree."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    own = [node] if isinstance(node, dict) and "_target_" in node else []
    return own + [found for child in children for found in _targets(child)]


NODES = [(path, node) for path in FILES for node in _targets(_read(path))]


def _name(value: Any) -> str:
    return value.as_posix() if isinstance(value, Path) else ""


def test_shapes_bodies_are_textured_in_scenes_and_in_pictures_of_the_web() -> None:
    stages = pipeline.compose(["data=shapes_bodies", "method=coseg"]).stages
    assert stages.shapes.textured == stages.shapes_web.textured == "body"
    assert stages.shapes.size // 8 > 16  # cells of the papers' strides
    stages = pipeline.compose(["method=coseg"]).stages
    assert stages.shapes.textured == stages.shapes_web.textured == "part"


@pytest.mark.parametrize(("path", "node"), NODES, ids=_name)
def test_targets_are_there_and_know_their_parameters(path: Path, node: dict[str, Any]) -> None:
    target = node["_target_"]
    if "launcher" in path.parts and not importlib.util.find_spec(".".join(target.split(".")[:2])):
        pytest.skip("a plugin of its own extra")
    parameters = inspect.signature(get_object(target)).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    given = {name for name in arguments(node) if not name.startswith("_")}
    assert inspect.Parameter.VAR_KEYWORD in kinds or given <= parameters.keys()
    if target.startswith("wsss_lightning."):
        found = signature_of(target)
        assert found is not None, "our own functions name their parameters"
        assert found.names == parameters.keys()
        assert found.required == {n for n, p in parameters.items() if p.default is inspect.Parameter.empty}


@pytest.mark.parametrize("method", METHODS)
def test_our_stages_take_their_folder_and_are_given_what_they_need(method: str) -> None:
    for name, node in expand(plain_dict(pipeline.compose([f"method={method}"]), resolve=False)).items():
        found = signature_of(node["_target_"])
        assert found is not None and "out_dir" in found.required, name
        assert found.required <= node.keys(), name


@cache
def _planned(path: Path, backbone: str) -> pipeline.Plan:
    return pipeline.plan([*_select(path), f"backbone={backbone}", RANDOM])


@pytest.mark.parametrize("path", [path for path in FILES if len(path.parts) > 1 and path not in DELTAS], ids=_name)
def test_every_other_file_can_be_selected(path: Path) -> None:
    if path.parts[0] == "hydra":
        pytest.skip("selected together with a launcher")
    assert pipeline.compose(_select(path)).stages


def _backbones(path: Path) -> tuple[str, str]:
    """Two that an experiment can have: a patch network extracts no features, and no other one takes patches."""
    return ("lse_tiny", "lse") if path.parts[1] == "patches" else ("tiny", "resnet18")


@pytest.mark.parametrize(
    ("path", "backbone"),
    [(path, backbone) for path in EXPERIMENTS for backbone in _backbones(path)]
    + [(path, _backbones(path)[0]) for path in ABLATIONS],  # on others, test_every_ablation_changes_a_result...
    ids=_name,
)
def test_every_experiment_and_ablation_plans(path: Path, backbone: str) -> None:
    plan = _planned(path, backbone)
    assert plan.final.name == plan.result
    assert {"supervision", "initial_weights", "external_data", "seed"} <= plan.card.keys()


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_plans_with_every_backbone_that_fits_and_names_these_for_others(
    method: str, backbone: str
) -> None:
    size = "data.size=[224,224]"  # that fc7, which points takes from it, needs of a vgg16
    overrides = [f"method={method}", f"backbone={backbone}", RANDOM, *([size] if method == "points" else [])]
    if method == "pretrain" or backbone.startswith("lse") == (method == "patches"):
        assert pipeline.plan(overrides).stages
    else:
        fitting = "lse, lse_tiny" if method == "patches" else "resnet18, resnet50, timm, tiny, vgg16, vgg16_features"
        with pytest.raises(InputError, match=f"^method={method} has no settings for backbone={backbone}: .*{fitting}"):
            pipeline.plan(overrides)


@pytest.mark.parametrize("method", ["points", "priors", "coseg"])
def test_a_backbone_without_settings_takes_the_generic_ones_and_its_card_says_so(method: str) -> None:
    plan = pipeline.plan([f"method={method}", "backbone=resnet18", RANDOM])
    assert str(plan.card["chosen_on"]).startswith("nothing;")


def test_an_ablation_of_a_sweep_in_a_list_combines_and_goes_over_an_experiment() -> None:
    config = pipeline.compose(["experiment=points/pixel_softmax", "ablation=[points/top,points/k5]"])
    assert config.sampler._target_.endswith("TopK") and config.sampler.k == 5
    assert config.points.pooling._target_.endswith("pixel_logits")


@pytest.mark.parametrize("path", ABLATIONS, ids=_name)
def test_every_ablation_changes_a_result_but_those_that_name_the_default(path: Path) -> None:
    changed = _results(*_select(path)) != _results(f"method={path.parts[1]}")
    assert changed == ("the default" not in (CONF / path).read_text())


@cache
def _results(*overrides: str) -> frozenset[str]:
    """Keys of the stage that is the result, of the one on val without a CRF and of the masks with known tags."""
    config = pipeline.compose([RANDOM, *overrides])
    keys = set()
    for name in (config.result, "evaluation", "evaluation_masks", "evaluation_generator"):
        if name in config.stages:
            config.result = name
            keys.add(plan_config(config).final.key)
    return frozenset(keys)


def _choices(values: str) -> list[str]:
    """Values of a sweep, or what Optuna searches between: `choice(1, 2)`, `tag(log, interval(1, 2))`."""
    return re.findall(r"\d[\d.e+-]*", values) if "(" in values else values.split(",")


@pytest.mark.parametrize("path", SWEEPS, ids=_name)
def test_every_job_of_a_sweep_plans(path: Path) -> None:
    content = _read(path)
    method = next(item["override /method"] for item in content["defaults"])
    for key, values in content["hydra"]["sweeper"]["params"].items():
        for value in _choices(values):
            chosen = [] if key == "experiment" else [f"experiment={method}/{DEFAULT.get(method, 'student')}"]
            assert pipeline.plan([RANDOM, *chosen, f"{key}={value}"]).stages


@pytest.mark.parametrize("path", DELTAS, ids=_name)
def test_experiments_are_short_and_change_something(path: Path) -> None:
    lines = (CONF / path).read_text().splitlines()
    assert lines[0] == "# @package _global_"
    # Classes to add, and heads on stored maps, bring stages of their own.
    long = path.stem in {"added", "frozen", "activations"}
    assert long or len([line for line in lines if not line.startswith("#")]) <= 15
    assert _read(path), "an empty delta says nothing"


@pytest.mark.parametrize("path", DELTAS, ids=_name)
def test_experiments_leave_data_and_backbone_to_the_command_line(path: Path) -> None:
    content = _read(path)
    chosen = {
        str(group).removeprefix("override ").lstrip("/") for item in content.get("defaults", []) for group in item
    }
    if path.parts[1] == "pretrain":  # its product is the weights of one backbone, whose statistics it needs
        chosen -= {"backbone"}
    shared = {"backbone"} if path.stem == "frozen" else {"data", "backbone"}  # images as they are, one at a time
    assert not chosen & {"data", "backbone"} and not content.keys() & shared


def test_no_two_experiments_are_the_same() -> None:
    keys = {path: _planned(path, _backbones(path)[0]).final.key for path in EXPERIMENTS}
    assert len({*keys.values()}) == len(keys)


@pytest.mark.parametrize("method", METHODS)
def test_the_stages_of_a_method_stand_in_an_order_in_which_they_can_run(method: str) -> None:
    planned = pipeline.plan([f"method={method}", RANDOM]).stages
    written = [name for name in pipeline.compose([f"method={method}"]).stages if name in planned]
    for place, name in enumerate(written):
        assert planned[name].upstream.keys() <= set(written[:place]), name


@pytest.mark.parametrize("method", METHODS)
def test_every_stage_of_a_method_can_be_the_result(method: str) -> None:
    config = pipeline.compose([f"method={method}", RANDOM])
    for name in config.stages:
        config.result = name
        assert plan_config(config).final.name == name


def test_self_comes_first() -> None:
    assert _read(Path("config.yaml"))["defaults"][0] == "_self_"


def test_an_experiment_overrides_what_stands_above_it() -> None:
    assert pipeline.plan(["experiment=points/diverse_crf", RANDOM]).result == "evaluation_crf"
    assert pipeline.compose(["experiment=points/top"]).sampler._target_.endswith("TopK")


def test_seeds_and_runtime() -> None:
    def keys(*overrides: str) -> list[str]:
        return [stage.key for stage in pipeline.plan([RANDOM, *overrides]).stages.values()]

    assert keys() == keys("runtime.workers=7", "runtime.progress=false", "logger=tensorboard", "paths.root=elsewhere")
    assert keys()[-1] != keys("seed=1")[-1]
    assert keys()[-1] != keys("trainer.precision=64-true")[-1]


@pytest.mark.parametrize("method", [method for method in METHODS if method != "pretrain"])
def test_methods_plan_on_a_folder_in_the_layout_of_voc(method: str, tmp_path: Path) -> None:
    write_voc(tmp_path / "voc", aug="train_aug.txt")
    overrides = [f"method={method}", "data=voc", RANDOM, f"paths.root={tmp_path / 'runs'}"]
    before = pipeline.plan([*overrides, f"data.root={tmp_path / 'voc'}"]).final.key
    (tmp_path / "voc").rename(tmp_path / "moved, and renamed")
    moved = pipeline.plan([*overrides, f"data.root='{tmp_path / 'moved, and renamed'}'"])
    assert moved.final.key == before
    assert not any(name == "shapes" for name in moved.stages)
