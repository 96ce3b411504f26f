"""The supervision card as a result's own stages tell it: whose masks they opened, whatever a configuration says."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wsss_lightning.pipeline.contents import StageRecord
from wsss_lightning.pipeline.identity import TRAINS
from wsss_lightning.pipeline.store import read_record

SEARCHED = "searched_on"  # entry of what a search tried, and of all that reads it: the split that the search looked at


def derived(card: dict[str, Any], record: StageRecord, *, store: Path) -> dict[str, Any]:
    """`card` with what the stage of `record` and all before it opened of ground truth.

    Masks of training images that went into a training, in the stage that trains or in one before it, are its
    supervision, whatever was typed. Other stages before this one that opened masks are named: what they chose was
    chosen by these. What the stage itself opens only to score is no supervision. What a search over settings looked at,
    in a stage before this one, this one has looked at, too. Imported labels are what was said of them when they were
    imported.
    """
    stages = _with_upstream(record, store)
    trained_on = {key for stage in stages.values() if TRAINS in stage["node"] for key in _sources(stage, stages)}
    learned = [stage for key, stage in stages.items() if key in trained_on and _masks(stage).get("train")]
    shown = {record["key"], *(stage["key"] for stage in learned)}
    others = [stage for key, stage in stages.items() if key not in shown and _masks(stage)]
    entries: dict[str, Any] = _of_imports(stages.values())
    if learned:
        count = max(_masks(stage)["train"] for stage in learned)
        names = ", ".join(stage["stage"] for stage in learned)
        entries["supervision"] = f"ground-truth masks of {count} training images (opened by {names})"
    if others:
        entries["masks_opened_by"] = ", ".join(f"{stage['stage']} ({_counts(stage)})" for stage in others)
    before = [stage["card"] for key, stage in stages.items() if key != record["key"]]
    if searched := list(dict.fromkeys(other[SEARCHED] for other in before if other.get(SEARCHED))):
        entries.setdefault(SEARCHED, card.get(SEARCHED) or "; ".join(searched))
    return card | entries


def _of_imports(records: Iterable[StageRecord]) -> dict[str, Any]:
    """What is said of masks or maps that were imported, in the place of what was typed; nothing where none were."""
    said: dict[str, str] = {}
    for record in records:
        said |= record.get("opened", {}).get("imported", {})
    return {"supervision": "; ".join(dict.fromkeys(said.values())), "labels": "; ".join(said)} if said else {}


def _with_upstream(record: StageRecord, store: Path) -> dict[str, StageRecord]:
    """The record and those of all stages before it, upstream first, by key."""
    stages: dict[str, StageRecord] = {}

    def visit(current: StageRecord) -> None:
        for key in current["upstream"].values():
            folder = current["bindings"].get(f"<artifact:{key}>")
            before = read_record(store / folder) if folder and key not in stages else None
            if before is not None:
                visit(before)
        stages[current["key"]] = current

    visit(record)
    return stages


def _sources(stage: StageRecord, stages: dict[str, StageRecord]) -> set[str]:
    """The keys of a stage and of those among `stages` that it depends on."""
    keys, waiting = {stage["key"]}, [stage]
    while waiting:
        before = set(waiting.pop()["upstream"].values()) & stages.keys() - keys
        keys |= before
        waiting += [stages[key] for key in before]
    return keys


def _masks(record: StageRecord) -> dict[str, int]:
    """How many ground-truth masks a stage opened, by split; nothing is known of records without the entry."""
    counts: dict[str, int] = record.get("opened", {}).get("ground_truth_masks", {})
    return counts


def _counts(record: StageRecord) -> str:
    return ", ".join(f"{count} of {split}" for split, count in _masks(record).items())
