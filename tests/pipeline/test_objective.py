from __future__ import annotations

import json

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.objective import fixed, objective, searched_by, searched_on, searches


def test_a_sweeper_is_told_the_metric_that_is_named(make_plan: MakePlan) -> None:
    plan = make_plan({"first": stage("write"), "last": stage("write", value=3, previous="${artifact:first}")})
    pipeline.run(plan)
    path = plan.stages["first"].folder / "stage.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "metrics": {"val/tag_ap": 0.75, "value": 9.0}}))
    metrics = {"train/loss": 0.1, "value": 3.0}
    assert [objective(plan, metrics, name) for name in (None, "value", "val/tag_ap")] == [0.1, 3.0, 0.75]
    with pytest.raises(
        InputError, match=r"objective=val/typo: no stage reports it; there are train/loss, value, val/t"
    ):
        objective(plan, metrics, "val/typo")


def test_a_search_by_what_no_trial_changes_is_told(make_plan: MakePlan) -> None:
    def trial(value: int, before: int = 0) -> pipeline.Plan:
        first, last = stage("write", value=before), stage("write", value=value, previous="${artifact:first}")
        plan = make_plan({"first": first, "last": last})
        pipeline.run(plan)
        path = plan.stages["first"].folder / "stage.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": {"val/tag_ap": 0.5}}))
        return plan

    def folders(plan: pipeline.Plan) -> dict[str, str]:
        return {name: str(one.folder) for name, one in plan.stages.items()}

    one, two, moved = trial(1), trial(2), trial(3, before=4)
    sentence = "objective=val/tag_ap is of first, which no trial so far has changed: search by one that they do."
    assert fixed(two, {"value": 2.0}, "val/tag_ap", [folders(one)]) == sentence
    assert fixed(two, {"value": 2.0}, "value", [folders(one)]) is None
    for earlier in ([], [folders(two)], [folders(one), folders(moved)]):
        assert fixed(two, {"value": 2.0}, "val/tag_ap", earlier) is None


def test_only_a_sweeper_that_reads_results_searches() -> None:
    assert not searches({"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"})
    assert searches({"_target_": "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"})


def test_the_card_says_whether_masks_were_looked_at() -> None:
    assert searched_on("val/tag_ap") == "val images, by val/tag_ap (their tags alone)"
    assert "ground truth of that split" in searched_on("val/miou")


def test_what_a_search_was_for_can_be_read_off_the_card() -> None:
    assert [searched_by(searched_on(name)) for name in ("val/tag_ap", "val/miou")] == ["val/tag_ap", "val/miou"]
    assert searched_by("") is None


def test_what_a_search_looked_at_goes_on_to_what_reads_its_result(make_plan: MakePlan) -> None:
    stages = {
        name: stage("write", previous=f"${{artifact:{before}}}") for before, name in (("maps", "fit"), ("fit", "end"))
    }
    stages = {"maps": stage("write"), **stages, "other": stage("write", value=1, previous="${artifact:maps}")}
    pipeline.run(make_plan(stages, result="fit", card={"searched_on": "val tags"}))
    for result, found in (("end", "val tags"), ("other", None)):
        plan = make_plan(stages, result=result, card={"supervision": "image tags"})
        pipeline.run(plan)
        assert json.loads((plan.final.folder / "stage.json").read_text())["card"].get("searched_on") == found
