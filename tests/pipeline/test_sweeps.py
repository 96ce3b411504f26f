"""Which jobs a sweep would launch."""

import pytest

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.sweeps import jobs_of_sweep


def test_every_combination_is_a_job_in_the_order_of_hydra() -> None:
    assert jobs_of_sweep(["sampler=top,diverse", "sampler.k=5", "seed=range(2)"]) == [
        ["sampler=top", "sampler.k=5", "seed=0"],
        ["sampler=top", "sampler.k=5", "seed=1"],
        ["sampler=diverse", "sampler.k=5", "seed=0"],
        ["sampler=diverse", "sampler.k=5", "seed=1"],
    ]
    assert jobs_of_sweep(["ablation=[points/top,points/k5]"]) == [["ablation=[points/top,points/k5]"]]


def test_what_a_sweeps_file_varies_is_varied() -> None:
    ablations = [f"ablation=points/{name}" for name in ("dense", "spatial", "top", "diverse")]
    assert jobs_of_sweep(["sweep=points/samplings", "seed=1"]) == [
        [ablation, "sweep=points/samplings", "seed=1"] for ablation in ablations
    ]
    assert len(jobs_of_sweep(["sweep=points/samplings", "ablation=points/top"])) == 1, "what is typed goes before it"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["sweep=cam/search"], "chooses its jobs by what earlier ones came to"),
        (["sweep=points/smaplings"], "points/samplings"),
        (["sampler=top,diverse", "seed"], "write NAME=VALUE"),
    ],
)
def test_what_cannot_be_told_before_is_one_sentence(overrides: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        jobs_of_sweep(overrides)
