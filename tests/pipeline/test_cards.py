"""The card of a result says what its stages opened, whatever was typed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline

TYPED = {"supervision": "image tags", "seed": 0}


def opens(previous: str | None = None, **parameters: Any) -> dict[str, Any]:
    return stage("open_truth", **parameters, **({"previous": f"${{artifact:{previous}}}"} if previous else {}))


TRAINS = {"checkpoint_every": 1}


@pytest.fixture
def card(make_plan: MakePlan) -> Any:
    def run(stages: dict[str, Any]) -> Any:
        plan = make_plan(stages, card=TYPED)
        pipeline.run(plan)
        record = plan.final.record()
        assert record is not None
        return record["card"]

    return run


def test_without_masks_it_says_what_was_typed(card: Any) -> None:
    assert card({"fit": opens(**TRAINS), "evaluation": opens("fit", val=5)}) == TYPED


@pytest.mark.parametrize(
    "stages",
    [
        {"fit": opens(train=3, **TRAINS)},
        {"fit": opens(train=3, **TRAINS), "evaluation": opens("fit", val=5)},
        {"fit": opens(train=3, **TRAINS), "second": opens("fit", **TRAINS), "evaluation": opens("second")},
    ],
)
def test_training_on_masks_is_said(card: Any, stages: dict[str, Any]) -> None:
    assert card(stages) == {
        "supervision": "ground-truth masks of 3 training images (opened by fit)",
        "seed": 0,
    }


def test_what_a_stage_before_a_training_took_from_masks_is_said(card: Any) -> None:
    stages = {"points": opens(train=2), "middle": opens("points"), "fit": opens("middle", **TRAINS)}
    assert card(stages)["supervision"] == "ground-truth masks of 2 training images (opened by points)"


def test_a_choice_by_masks_is_named_and_is_no_training(card: Any) -> None:
    stages = {
        "fit": opens(**TRAINS),
        "threshold": opens("fit", train=5),
        "snapshot": opens("threshold", val=1, train=1),
        "evaluation": opens("snapshot", val=5),
    }
    assert card(stages) == TYPED | {"masks_opened_by": "threshold (5 of train), snapshot (1 of train, 1 of val)"}


def test_it_is_known_of_stages_that_were_finished_long_ago(make_plan: MakePlan, card: Any) -> None:
    stages = {"fit": opens(train=3, **TRAINS)}
    pipeline.run(make_plan(stages))
    stages["evaluation"] = opens("fit", val=5)
    assert card(stages)["supervision"].startswith("ground-truth masks of 3")


def test_a_record_without_the_entry_says_nothing(make_plan: MakePlan, card: Any) -> None:
    stages = {"fit": stage("write")}
    plan = make_plan(stages)
    pipeline.run(plan)
    path = plan.final.folder / "stage.json"
    assert '"opened"' in path.read_text()
    path.write_text(path.read_text().replace('"opened"', '"unknown"'))
    assert card({**stages, "evaluation": opens("fit")}) == TYPED


def test_a_prediction_has_a_trainer_and_is_no_training(card: Any) -> None:
    stages = {
        "fit": opens(**TRAINS),
        "choice": opens("fit", train=2),
        "prediction": opens("choice", trainer={"devices": 1}),
    }
    assert card(stages)["supervision"] == "image tags"


def test_a_model_carries_the_card_of_its_stage(make_plan: MakePlan) -> None:
    plan = make_plan({"fit": opens(train=3, **TRAINS)}, card=TYPED)
    pipeline.run(plan)
    model = json.loads((plan.final.folder / "model.json").read_text())
    assert model["module"] == {} and model["card"]["supervision"].startswith("ground-truth masks of 3")
