"""Networks as plain data, and whose code is called to build them again."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from wsss_lightning.errors import InputError
from wsss_lightning.nn.description import build, describe
from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.ops.pooling import pool_log_sum_exp
from wsss_lightning.trust import TRUST


def test_what_is_described_is_built_again() -> None:
    value = {"pooling": partial(pool_log_sum_exp, sharpness=2.0), "steps": (3, 2), "layer": nn.ReLU, "none": None}
    again = build(describe(value))
    scores = torch.tensor([[[0.0], [1.0]]])
    assert torch.equal(again["pooling"](scores), value["pooling"](scores))  # type: ignore[operator]
    assert again["steps"] == [3, 2] and again["layer"] is nn.ReLU and again["none"] is None


def test_a_network_is_described_without_its_weights() -> None:
    node = describe(resnet18(None))
    assert node == {"_target_": "wsss_lightning.nn.resnet.resnet18", "weights": None}
    assert build(node).state_dict().keys() == resnet18(None).state_dict().keys()


def test_what_has_no_name_cannot_be_described() -> None:
    with pytest.raises(TypeError, match="cannot be described"):
        describe(lambda: None)


def test_code_of_others_is_called_where_it_is_trusted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"_target_": "posixpath.basename", "p": "a/b"}
    with pytest.raises(InputError, match=r"posixpath\.basename, .* of another package: .*trust=\['posixpath'\]"):
        build(node)
    assert build(node, trust=["posixpath"]) == "b"
    monkeypatch.setenv(TRUST, "other,posixpath")
    assert build(node) == "b"


def test_a_name_that_is_gone_is_said() -> None:
    with pytest.raises(InputError, match=r"There is no wsss_lightning\.nn\.resnet\.resnet17 here"):
        build({"_target_": "wsss_lightning.nn.resnet.resnet17"})


def test_a_model_that_was_saved_before_its_class_moved_is_built() -> None:
    network = {"_target_": "wsss_lightning.nn.vgg.tiny", "num_classes": 20, "weights": None}
    old = {
        "_target_": "wsss_lightning.methods.cam.classifier.TagClassifier",
        "backbone": network,
        "class_names": ["cat"],
    }
    assert type(build(old)).__module__ == "wsss_lightning.stages.tag_classifier"


def test_predictions_that_were_written_before_their_reading_was_renamed_are_read() -> None:
    module = "wsss_lightning.methods.coseg.frozen_segmenter"
    reading = build({"_target_": f"{module}.read_scores", "_partial_": True, "corners": True})
    assert reading.func.__name__ == "mean_probabilities" and reading.keywords == {"corners": True}
