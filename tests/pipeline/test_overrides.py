"""Overrides as they are typed: what is refused in one sentence before anything is composed."""

from __future__ import annotations

import pytest

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError


@pytest.mark.parametrize(
    ("overrides", "owner", "method"),
    [
        (["method=coseg", "ablation=priors/pairs"], "priors", "coseg"),
        (["ablation=priors/pairs"], "priors", "points"),
        (["ablation=[points/top,priors/pairs]"], "priors", "points"),
        (['ablation=["points/top","priors/pairs"]'], "priors", "points"),
        (["method=patches", "experiment=cam/student"], "cam", "patches"),
        (["method=priors", "experiment=points/direct"], "points", "priors"),
        (["experiment=points/top", "method=priors"], "points", "priors"),
        (["experiment=cam/student", "ablation=points/top"], "points", "cam"),
        (["sweep=cam/search", "method=points"], "cam", "points"),
    ],
)
def test_a_file_of_another_method_is_refused_with_its_name_and_its_method(
    overrides: list[str], owner: str, method: str
) -> None:
    sentence = rf"^\w+={owner}/\w+ is one of method={owner}, not of {method}: say method={owner}, or take another"
    with pytest.raises(InputError, match=sentence):
        pipeline.plan(overrides)


def test_quotes_around_a_name_are_none_of_it() -> None:
    assert pipeline.compose(['ablation="points/top"']) == pipeline.compose(["ablation=points/top"])


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("logger=null", "logger=null: give the name of a file in conf/logger."),
        ("trainer=null", "trainer=null: give the name of a file in conf/trainer."),
        ("data={a:1}", "data={a:1}: give the name of a file in conf/data."),
        ("=3", "=3 names no setting: write NAME=VALUE."),
        ("points", "points cannot be read: write NAME=VALUE."),
        ("paths.store=null", "paths.store=null: give a folder."),
        ("paths.root=null", "paths.root=null: give a folder."),
    ],
)
def test_what_names_nothing_is_one_sentence(override: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        pipeline.plan([override])
    assert str(caught.value) == sentence
