from __future__ import annotations

from typing import Any

import pytest

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.expansion import expand

WRITE = "fake_stages.write"


def test_given_fills_what_a_function_takes_and_a_stage_does_not_say() -> None:
    config = {"given": {"out_dir": "o", "value": 1, "other": 2}, "stages": {"a": {"_target_": WRITE, "data": 3}}}
    assert expand(config) == {"a": {"_target_": WRITE, "out_dir": "o", "value": 1, "data": 3}}
    config["stages"]["a"]["value"] = None
    assert expand(config)["a"]["value"] is None


def test_like_is_that_stage_but_for_what_is_said() -> None:
    stages: dict[str, Any] = {
        "c": {"like": "b", "weights": "w"},
        "b": {"like": "a", "value": None},
        "a": {"_target_": WRITE, "value": {"x": 1}, "data": 2},
    }
    assert expand({"stages": stages})["c"] == {"_target_": WRITE, "value": None, "data": 2, "weights": "w"}


def test_a_part_of_a_given_mapping_leaves_the_rest_as_given() -> None:
    trainer = {"_target_": "x.Trainer", "devices": 2, "nested": {"a": 1, "b": 2}}
    stages = {"a": {"_target_": WRITE, "value": {"devices": 1, "nested": {"b": 3}}, "data": {"_target_": "y.Own"}}}
    expanded = expand({"trainer": trainer, "given": {"value": "${trainer}", "data": {"z": 1}}, "stages": stages})["a"]
    assert expanded["value"] == {"_target_": "x.Trainer", "devices": 1, "nested": {"a": 1, "b": 3}}
    assert expanded["data"] == {"_target_": "y.Own"}
    assert trainer["devices"] == 2


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"a": {"steps": 5}}, r"stages\.a has no _target_, only steps: "),
        ({"a": None}, r"stages\.a has no _target_: "),
        ({"a": {"like": "b"}}, r"stages\.a\.like: there is no stage b; the stages are a\."),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, r"The stages a -> b -> a are like each other"),
        ({"a": {"_target_": "fake_stages.wirte"}}, r"stages\.a\._target_: fake_stages defines no wirte"),
    ],
)
def test_a_stage_that_is_none_is_refused(stages: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand({"stages": stages})
