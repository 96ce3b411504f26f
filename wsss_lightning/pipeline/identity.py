"""What of a stage's node its key hashes: names that outlive moves, no parameter that only repeats a default."""

import hashlib
import json
from typing import Any

from wsss_lightning.pipeline import aliases
from wsss_lightning.pipeline.signatures import signature_of

_DATA = frozenset({"classes", "train_list", "val_list", "test_list", "size", "batch_size"})
# Parameters that always stand in keys, at their default too, by the target's name in keys. They were spelt out in
# every config before defaults were left out; one that is required today and gets a default later belongs here.
_ALWAYS: dict[str, frozenset[str]] = {
    "pytorch_lightning.Trainer": frozenset({"accelerator"}),
    "wsss_lightning.data.transforms.crop_augmentation": frozenset({"size", "mean", "scale"}),
    "wsss_lightning.data.transforms.jitter_augmentation": frozenset({"size", "rotation", "scale", "contrast"}),
    "wsss_lightning.data.transforms.priors_augmentation": frozenset({"size", "frame"}),
    "wsss_lightning.data.voc.VOCDataModule": _DATA,
    "wsss_lightning.data.web.WebDataModule": _DATA,
    "wsss_lightning.ops.priors.combine": frozenset({"alpha", "threshold", "negatives", "normalise"}),
}
TRAINS = "checkpoint_every"  # a parameter of all stages that train, and of no other
# What of a trainer only training reads.
_OF_TRAINING = frozenset(
    {
        *("max_steps", "max_epochs", "max_time", "min_steps", "min_epochs", "min_time", "fast_dev_run"),
        *("val_check_interval", "check_val_every_n_epoch", "num_sanity_val_steps", "log_every_n_steps"),
        *("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm"),
        *("limit_train_batches", "limit_val_batches", "overfit_batches"),
    }
)


def key_of(node: dict[str, Any]) -> str:
    """The key of a stage: SHA-256 of its resolved node with tokens, as `hashed` writes it."""
    counted, trainer = dict(node), node.get("trainer")
    if isinstance(trainer, dict):  # of which counts what can change a bit: how many devices, not which of a machine
        left_out = frozenset() if TRAINS in node else _OF_TRAINING
        counted["trainer"] = {name: value for name, value in trainer.items() if name not in left_out}
        if isinstance(trainer.get("devices"), list):
            counted["trainer"]["devices"] = len(trainer["devices"])
    return hashlib.sha256(json.dumps(hashed(counted), sort_keys=True).encode()).hexdigest()


def hashed(node: Any) -> Any:
    """A node as keys hold it: targets under their old names, and parameters that stand at a default left out."""
    if isinstance(node, list):
        return [hashed(item) for item in node]
    if not isinstance(node, dict):
        return node
    values = {name: hashed(value) for name, value in node.items()}
    if "_target_" not in node:
        return values
    target = aliases.keyed_target(str(node["_target_"]))
    return _without_defaults(values, str(node["_target_"]), _ALWAYS.get(target, frozenset())) | {"_target_": target}


def _without_defaults(values: dict[str, Any], target: str, always: frozenset[str]) -> dict[str, Any]:
    signature = signature_of(target)
    defaults = signature.defaults if signature else {}
    own = {name: value for name, value in values.items() if name in always or not _repeats(value, name, defaults)}
    return {name: defaults[name] for name in always & defaults.keys()} | own


def _repeats(value: Any, name: str, defaults: dict[str, Any]) -> bool:
    # As JSON, in which True is not 1, 1 is not 1.0, and a tuple is the list that YAML has for it.
    return name in defaults and json.dumps(value, sort_keys=True) == json.dumps(defaults[name], sort_keys=True)


def with_current_targets(node: Any) -> Any:
    """A node with today's names of functions that have moved since it was written."""
    if isinstance(node, list):
        return [with_current_targets(item) for item in node]
    if not isinstance(node, dict):
        return node
    values = {name: with_current_targets(value) for name, value in node.items()}
    return values | ({"_target_": current_target(str(node["_target_"]))} if "_target_" in node else {})


def current_target(target: str) -> str:
    """Today's name of a function that `target` named once; every other name as it is."""
    return aliases.renamed_target(target, {old: new for new, old in aliases.MOVED.items()})
