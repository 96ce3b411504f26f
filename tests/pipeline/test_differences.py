from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest

from wsss_lightning.pipeline.differences import in_words, is_named, tell_apart


def told(nodes: Sequence[Mapping[str, Any]], upstream: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    return [in_words(settings, lambda key: upstream.get(key, "")) for settings in tell_apart(nodes)]


def test_stages_that_are_alike_or_alone_differ_in_nothing() -> None:
    assert told([]) == []
    assert told([{"seed": 0}]) == [""]
    assert told([{"seed": 0, "loss": {"sharpness": 5}}] * 2) == ["", ""]


def test_settings_are_named_with_where_they_stand_and_functions_by_their_name() -> None:
    nodes = [{"loss": {"_target_": f"wsss_lightning.nn.losses.{name}", "weight": 1}} for name in ("lse", "maximum")]
    assert told(nodes) == ["loss=lse", "loss=maximum"]


def test_the_settings_that_tell_most_stages_apart_come_first_and_no_others() -> None:
    nodes = [{"branch": branch, "seed": seed, "copy": seed} for branch in ("added", None) for seed in (0, 1, 2)]
    assert told(nodes)[0] == "seed=0, branch=added"
    assert len({*told(nodes)}) == 6


def test_a_stage_that_is_read_is_named_by_its_key_where_no_setting_tells_them_apart() -> None:
    nodes = [{"_target_": name, "model": f"<artifact:{8 * digit}{8 * '0'}>/model"} for name, digit in ("a1", "b2")]
    assert told(nodes) == ["model=11111111", "model=22222222"]
    assert told(nodes, {f"{8 * '1'}{8 * '0'}": "sampler=TopK"}) == ["sampler=TopK", "model=22222222"]
    nodes = [{**node, "seed": seed} for seed, node in enumerate(nodes)]
    assert told(nodes) == ["seed=0", "seed=1"]


def test_what_older_records_lack_counts_where_nothing_else_differs() -> None:
    assert told([{"split": "val", "seed": 0}, {"seed": 1}]) == ["seed=0", "seed=1"]
    assert told([{"border": "zeros"}, {}]) == ["border=zeros", "border=unset"]


def test_long_values_are_cut() -> None:
    nodes = [{"names": [word] * 30} for word in ("cat", "dog")]
    assert all(text.endswith("...") and len(text) < 50 for text in told(nodes))


@pytest.mark.parametrize("text", ["final", "final-0", "final-0123", "0123", "0123456789abcdef", "0123456789abcdef01"])
def test_a_stage_is_named_by_its_name_or_the_first_digits_of_its_key(text: str) -> None:
    assert is_named("final-0123456789abcdef", text)


@pytest.mark.parametrize("text", ["fin", "final-", "final-1", "012", "", "123456", "other-0123"])
def test_and_by_nothing_less(text: str) -> None:
    assert not is_named("final-0123456789abcdef", text)
