"""Names that enter keys: moved modules and renamed functions keep the one that they had first."""

import pytest

from wsss_lightning.pipeline.aliases import MOVED, keyed_target
from wsss_lightning.pipeline.modules import module_path, tree


@pytest.mark.parametrize(
    ("target", "keyed"),
    [
        ("wsss_lightning.methods.points.mil.global_logits", "wsss_lightning.ops.mil.global_logits"),
        ("wsss_lightning.methods.points.stages.sample.sample", "wsss_lightning.stages.sample.sample"),
        ("wsss_lightning.methods.coseg.network.CosegNetwork", "wsss_lightning.nn.coseg.CosegNetwork"),
        ("wsss_lightning.methods.coseg.network.CosegNetwork.at", "wsss_lightning.nn.coseg.CosegNetwork.at"),
        (
            "wsss_lightning.methods.points.stages.predict_from_features.predict_from_features",
            "wsss_lightning.methods.points.stages.predict.predict",
        ),
        ("wsss_lightning.methods.points.mil", "wsss_lightning.ops.mil"),
        ("wsss_lightning.methods.points.mile.other", "wsss_lightning.methods.points.mile.other"),
        ("wsss_lightning.ops.crf.dense_crf", "wsss_lightning.ops.crf.dense_crf"),
        ("pytorch_lightning.Trainer", "pytorch_lightning.Trainer"),
    ],
)
def test_a_target_enters_keys_under_its_first_name(target: str, keyed: str) -> None:
    assert keyed_target(target) == keyed


def test_a_renamed_function_of_a_moved_module_has_its_own_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOVED, "wsss_lightning.methods.points.mil.other_logits", "wsss_lightning.ops.mil.first_logits")
    assert keyed_target("wsss_lightning.methods.points.mil.other_logits") == "wsss_lightning.ops.mil.first_logits"


def test_no_two_names_share_a_first_name_and_none_is_both() -> None:
    assert len(set(MOVED.values())) == len(MOVED)
    assert not MOVED.keys() & MOVED.values()


@pytest.mark.parametrize("new", MOVED)
def test_a_new_name_exists(new: str) -> None:
    module, _, name = new.rpartition(".")
    assert module_path(new) or name in {getattr(node, "name", None) for node in tree(module).body}


@pytest.mark.parametrize("old", [old for new, old in MOVED.items() if module_path(new)])
def test_no_module_takes_a_name_that_keys_give_to_another(old: str) -> None:
    """Else two functions would share a key; `wsss_lightning.pipeline.aliases` would have to tell them apart."""
    assert module_path(old) is None
