"""The program that priors are chosen by, on the predictions of a stage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wsss_lightning import pipeline

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = [
    *("experiment=cam/student", "stages.shapes.train=12", "stages.shapes.val=4", "trainer.accelerator=cpu"),
    *("tuning.student.steps=4", "tuning.classifier.epochs=1", "runtime.progress=false", "result=predictions"),
]


def test_more_of_a_prior_means_less_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    import background_prior

    planned = pipeline.plan([f"paths.root={tmp_path}", *SMALL])
    pipeline.run(planned)
    background_prior.main([str(planned.final.folder), "--images", "3", "--priors", "0", "1", "50"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 images of val, per cent"
    assert [line.split("|")[1].strip() for line in lines[-3:]] == ["0", "1", "50"]
    assert float(lines[-1].split("|")[2]) < 100 / 9 * 8  # no pixel is background
    background_prior.main([str(planned.final.folder), "--images", "1", "--priors", "0", "--tagged", "--crf", "coseg"])
    assert capsys.readouterr().out.startswith("1 images of val")
    with pytest.raises(SystemExit, match="is not the folder of a finished stage of predictions"):
        background_prior.main([str(planned.stages["student"].folder)])


def test_background_counts_for_less_and_only_tags_are_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    from background_prior import lessened

    probs = torch.tensor([0.5, 0.3, 0.2]).view(3, 1, 1)
    weights = torch.tensor([0.25, 0.3, 0.2])
    torch.testing.assert_close(lessened(probs, 0.6931472, tags=None).flatten(), weights / weights.sum())
    torch.testing.assert_close(lessened(probs, 0.0, tags=[False, True]).flatten(), torch.tensor([5, 0, 2]) / 7)
