"""Committed results, `experiments/<method>/results/*.json`: what the collector wrote, never by hand."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from wsss_lightning.tables.results import COMMITTED, Difference, Result, Row, read_table, short_commit

Keys = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Committed:
    """Committed results by key, and committed differences by the keys of both rows."""

    results: dict[str, Result] = field(default_factory=dict)
    differences: dict[Keys, Difference] = field(default_factory=dict)

    def result(self, blank: Result) -> Result:
        """The committed result with the key of `blank`, marked with its commit and date; `blank` if there is none."""
        committed = self.results.get(blank.key)
        if committed is None:
            return blank
        mark = f"commit {short_commit(committed.commit)}, {(committed.date or '-')[:10]}"
        return replace(committed, seed=blank.seed, overrides=blank.overrides, status=COMMITTED, detail=mark)


def pair_keys(row: Row, reference: Row) -> Keys:
    """The keys behind a difference of two rows."""
    return tuple(result.key for result in row.measured), tuple(result.key for result in reference.measured)


def read_committed(*folders: Path) -> Committed:
    """All results that are kept in `folders`; where a key stands in two files, the newer file counts."""
    committed = Committed()
    paths = {path.resolve() for folder in folders for path in folder.glob("[!.]*.json")}
    for table in sorted((read_table(path) for path in sorted(paths)), key=lambda table: table.collected):
        rows = {row.name: row for row in table.rows}
        for row in table.rows:
            committed.results.update({result.key: result for result in row.measured})
            if row.difference is not None and table.heading.reference in rows:
                committed.differences[pair_keys(row, rows[table.heading.reference])] = row.difference
    return committed
