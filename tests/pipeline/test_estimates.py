from __future__ import annotations

import json
import logging

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.pipeline.estimates import estimated, rounded, usual_seconds


def test_a_stage_takes_what_its_like_took(make_plan: MakePlan, caplog: pytest.LogCaptureFixture) -> None:
    plans = [make_plan({"first": stage("write"), "last": stage("write", value=value)}) for value in range(6)]
    for value, seconds in enumerate((1000.0, 10.0, 40.0, 30.0)):
        pipeline.run(plans[value])
        path = plans[value].final.folder / "stage.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "wall_seconds": seconds}))
    assert usual_seconds(plans[4].final) == 30.0, "the median of the latest three"
    other = make_plan({"last": stage("fail_without", fuse="here")}).final
    assert usual_seconds(other) is None, "the same name, another function"
    assert estimated([plans[4].final]) == "about 30 s by earlier runs" and estimated([other]) == ""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        pipeline.run(plans[4])
        pipeline.run(plans[4])
    line = next(message for message in caplog.messages if "stages to do" in message)
    assert line == "1 of 1 stages to do, about 30 s by earlier runs"
    assert any("s on CPU" in message for message in caplog.messages)


@pytest.mark.parametrize(("seconds", "text"), [(5.2, "5 s"), (150, "2 min"), (9000, "2.5 h")])
def test_an_estimate_is_no_more_exact_than_it_is(seconds: float, text: str) -> None:
    assert rounded(seconds) == text
