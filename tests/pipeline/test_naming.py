from __future__ import annotations

import pytest

from wsss_lightning.pipeline import compose, plan
from wsss_lightning.pipeline.naming import compared_choices, named, settings, short_name, varied

CHOICES = {
    "hydra/launcher": "basic",
    "logger": "wandb",
    "paths": "default",
    "ablation": "None",
    "ablation/points": "k5",
    "method": "points",
    "experiment": "points/diverse",
    "data": "voc",
    "backbone": "vgg16",
    "ablations": ["points/k5"],
}


def test_a_job_is_described_by_what_it_computes() -> None:
    expected = {"method": "points", "experiment": "points/diverse", "data": "voc", "backbone": "vgg16"}
    assert compared_choices(CHOICES) == {**expected, "ablations": ["points/k5"]}
    assert settings(["+a.b=1", "paths.root=x", "logger=wandb", "run.name=y", "~c", "seed=2"]) == {
        "a.b": "1",
        "seed": "2",
    }


def test_a_sweep_varies_what_differs_from_its_command_line() -> None:
    job = {"seed": "1", "backbone": "vgg16", "sampler.k": "5"}
    given = ["seed=0,1", "backbone=vgg16", "-m", "logger=wandb"]
    assert varied(given, job) == {"seed": "1", "sampler.k": "5"}  # k is varied by a file of conf/sweep


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ({}, "points/diverse voc vgg16"),
        ({"data": "voc", "sampler.k": "5", "seed": "1"}, "points/diverse voc vgg16 k=5 seed=1"),
        ({"ablation": "[points/k5]"}, "points/diverse voc vgg16 k5"),
        ({"a.long": "x" * 90}, f"points/diverse voc vgg16 long={'x' * 47}..."),
    ],
)
def test_a_name_is_short(shown: dict[str, str], name: str) -> None:
    assert short_name(CHOICES, shown) == name and len(name) <= 80
    assert short_name({"method": "cam", "experiment": None}, {}) == "cam"


def test_the_command_line_may_name_a_job() -> None:
    planned = plan(["experiment=points/top", "seed=3", "run.tags=[a,b]", "logger=wandb"])
    called = named(planned, ["experiment=points/top", "seed=3"], group="sweep", given=["seed=2,3"])
    assert called.run["name"] == "points/top shapes tiny seed=3"
    assert (called.run["group"], called.run["tags"]) == ("sweep", ["a", "b"])
    assert called.run["varied"] == {"experiment": "points/top", "seed": "3"}
    assert called.stages is planned.stages and list(called.dashboards) == ["wandb"]
    assert called.choices["ablations"] == ["points/top"]
    own = plan(["run.name=mine"])
    assert named(own, [], group=None, given=()).run["name"] == "mine"


def test_dashboards_are_of_the_job_and_stages_write_files_alone() -> None:
    planned = plan(["logger=tensorboard"])
    assert planned.final.bindings["<logger>"].keys() == {"csv"}
    assert list(planned.dashboards) == ["tensorboard"]
    assert plan([]).final.key == planned.final.key and not plan([]).dashboards
    assert compose([]).run == {"group": None, "name": None, "tags": []}
