"""Supervision cards in words: what all rows of a table share, and what differs between them."""

from dataclasses import dataclass
from typing import Any

from wsss_lightning.tables.results import Table

_ALERTS = ("masks_opened_by", "searched_on")  # entries that say by themselves that more than tags was looked at


@dataclass(frozen=True)
class CardEntry:
    """One line of a card: its values in words with the rows that each holds for; `alert`: it says of more than tags."""

    name: str
    values: list[tuple[str, list[str]]]
    alert: bool


def card(table: Table) -> list[tuple[str, str]]:
    """The supervision card: what all rows share once, and what differs with the rows that it holds for."""
    lines = []
    for entry in entries(table):
        if len(entry.values) == 1 or entry.name == "seed":
            text = ", ".join(value for value, _ in entry.values)
        else:
            text = "; ".join(f"{value} ({', '.join(rows)})" for value, rows in entry.values)
        lines.append((entry.name, text))
    return lines


def entries(table: Table) -> list[CardEntry]:
    """The supervision card line by line, in the order in which the rows' cards name them."""
    cards = [(row.name, result.card) for row in table.rows for result in row.measured]
    names = list(dict.fromkeys(name for _, content in cards for name in content))
    return [_entry(name, cards) for name in names]


def _entry(name: str, cards: list[tuple[str, dict[str, Any]]]) -> CardEntry:
    values: dict[str, dict[str, None]] = {}
    for row, content in cards:
        values.setdefault(value_in_words(content[name]) if name in content else "not stated", {})[row] = None
    alert = any(_is_alert(name, content[name]) for _, content in cards if name in content)
    return CardEntry(name.replace("_", " "), [(value, list(rows)) for value, rows in values.items()], alert)


def _is_alert(name: str, value: Any) -> bool:
    if name == "supervision":
        return "ground-truth" in str(value)
    return (name == "tags_at_inference" and value is True) or (name in _ALERTS and bool(value))


def value_in_words(value: Any) -> str:
    """A card's value in words; of a nested call its name and arguments."""
    if isinstance(value, dict):
        call = str(value.get("_target_", "")).rpartition(".")[2]
        given = {name: item for name, item in value.items() if not str(name).startswith("_")}
        arguments = ", ".join(f"{name} {value_in_words(item)}" for name, item in given.items())
        return f"{call}: {arguments}" if call else arguments
    if isinstance(value, list):
        return ", ".join(value_in_words(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
