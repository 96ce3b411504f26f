"""Supervision cards of a table: what rows share, what differs, what is more than tags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wsss_lightning.tables import cards
from wsss_lightning.tables.cells import Cell
from wsss_lightning.tables.results import Table


@pytest.fixture
def carded(
    cells: list[Cell], finish: Callable[..., np.ndarray], collected: Callable[..., Table]
) -> Callable[..., list[cards.CardEntry]]:
    """The entries of a table of two rows with these cards."""
    for cell in cells:
        finish(cell)

    def entries(*contents: dict[str, Any]) -> list[cards.CardEntry]:
        table = collected()
        rows = [
            replace(row, results=[replace(result, card=content) for result in row.results])
            for row, content in zip(table.rows[:2], contents, strict=True)
        ]
        return cards.entries(replace(table, rows=rows))

    return entries


def test_a_shared_value_stands_once_and_others_with_their_rows(carded: Callable[..., list[cards.CardEntry]]) -> None:
    first, second = {"trunk": "frozen", "crf": None}, {"trunk": "frozen", "crf": {"steps": 10}, "extra": True}
    assert [(entry.name, entry.values) for entry in carded(first, second)] == [
        ("trunk", [("frozen", ["Top", "Diverse"])]),
        ("crf", [("none", ["Top"]), ("steps 10", ["Diverse"])]),
        ("extra", [("not stated", ["Top"]), ("yes", ["Diverse"])]),
    ]


@pytest.mark.parametrize(
    ("content", "alert"),
    [
        ({"supervision": "image tags"}, False),
        ({"supervision": "ground-truth masks of 400 training images (opened by truth)"}, True),
        ({"tags_at_inference": False}, False),
        ({"tags_at_inference": True}, True),
        ({"masks_opened_by": "judged (train 4)"}, True),
        ({"searched_on": None}, False),
    ],
)
def test_an_entry_of_more_than_tags_is_an_alert(
    carded: Callable[..., list[cards.CardEntry]], content: dict[str, Any], alert: bool
) -> None:
    assert [entry.alert for entry in carded({**content, "seed": 0}, {"seed": 1})] == [alert, False]
