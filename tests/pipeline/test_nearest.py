from __future__ import annotations

import pytest

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("experiment=points/divers", "points/diverse"),
        ("experiment=diverse", "points/diverse"),
        ("ablation=points/spatal", "points/spatial"),
        ("'ablation=[points/topp]'".strip("'"), "points/top"),
        ("sweep=points/sampling", "points/samplings"),
        ("method=poinst", "points"),
    ],
)
def test_a_misspelt_choice_is_answered_with_the_nearest(override: str, nearest: str) -> None:
    with pytest.raises(InputError, match=rf"; nearest: {nearest}[,.]"):
        pipeline.compose([override])


def test_what_is_like_nothing_is_not_answered_with_anything() -> None:
    with pytest.raises(InputError, match=r"Could not find 'experiment/zzzz'\.$"):
        pipeline.compose(["experiment=zzzz"])
