"""What `wsss data check` prints: a summary, the class balance and what is wrong."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from wsss_lightning.data.findings import DataReport

_EXAMPLES = 3


def split_summary(report: DataReport) -> Table:
    """Images, faultless masks and tags of every split."""
    table = Table("split", "list")
    for name in ("images", "published", "masks", "no tag", "one tag"):
        table.add_column(name, justify="right")
    for split in report.splits:
        published = "-" if split.published is None else f"{split.published:,}"
        numbers = (len(split.shown), split.images_with_tags(0), split.images_with_tags(1))
        table.add_row(split.split, split.list_name, f"{len(split.records):,}", published, *(f"{n:,}" for n in numbers))
    return table


def class_balance(report: DataReport) -> Table:
    """How many images are tagged with each class, and their share of the images with readable tags."""
    tagged = [split for split in report.splits if split.tags]
    table = Table("class")
    for split in tagged:
        table.add_column(f"{split.split} images", justify="right")
        table.add_column("%", justify="right")
    counts = [(report.class_counts(split), len(split.tags)) for split in tagged]
    for name in report.class_names if tagged else ():
        cells = [(f"{count[name]:,}", f"{100 * count[name] / images:.1f}") for count, images in counts]
        table.add_row(name, *(cell for pair in cells for cell in pair))
    return table


def findings(report: DataReport) -> Table:
    """Errors, then notes, by kind and split: how many there are and the first of them, paths within the root."""
    table = Table("what", show_lines=True)
    table.add_column("times", justify="right")
    table.add_column(f"the first {_EXAMPLES}", overflow="fold")
    for level, style, of_level in (("error", "red", report.errors), ("note", "yellow", report.notes)):
        for (kind, split), group in groupby(of_level, key=lambda finding: (finding.kind, finding.split)):
            messages = [finding.message.replace(f"{report.root}/", "") for finding in group]
            what = Text(f"{level}: {kind}\n{split}", style=style)
            table.add_row(what, f"{len(messages):,}", Text("\n".join(messages[:_EXAMPLES])))
    return table
