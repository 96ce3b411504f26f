"""Which pairs of rows that the papers' ablation tables order come out in the same order in ours.

python experiments/orderings.py [--data NAME ...] [--tables NAME ...] [--results FOLDER] [--all] [--out FILE]

Reads the papers' numbers from experiments/<method>/<table>.yaml and ours from experiments/<method>/results; of a pair
both rows must have both numbers. A pair that does not come out gets the reason that experiments/orderings.yaml gives,
or, where seeds disagree, the interval that holds zero. Writes markdown.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import yaml
from scipy import stats

from wsss_lightning.errors import InputError
from wsss_lightning.tables.results import Row, Table, read_table
from wsss_lightning.tables.spec import Spec, read_spec

HERE = Path(__file__).parent
TABLES = (
    *("points/table1", "points/table2", "points/table3", "priors/table5", "priors/table6"),
    *("coseg/table3", "patches/table2"),
)
LEVEL = 0.95
ALIKE = {"ablation=priors/scenes"}  # how all rows of a table learn alike; other ablations depart from the paper


@dataclass(frozen=True)
class Pair:
    """Two rows of a table, the one that the paper finds better first.

    `paper` and `ours`: by how much, in points of per cent; `interval`: of `ours` over the seeds (paired t), None for
    a single seed.
    """

    table: str
    better: str
    worse: str
    paper: float
    ours: float
    interval: tuple[float, float] | None

    @property
    def comes_out(self) -> bool:
        """Whether our mean has the paper's sign."""
        return self.ours > 0

    @property
    def undecided(self) -> bool:
        """Whether other seeds could turn it round."""
        return self.interval is None or self.interval[0] <= 0 <= self.interval[1]


def pairs(spec: Spec, table: Table) -> Iterator[Pair]:
    """All pairs of comparable rows, of one target where a table has several, with both numbers."""
    measured = {row.name: row for row in table.rows if row.mean is not None}
    rows = [row for row in spec.rows if row.name in measured and spec.heading.metric in row.paper]
    for first, second in combinations(rows, 2):
        gap = first.paper[spec.heading.metric] - second.paper[spec.heading.metric]
        if gap and _target(first.overrides) == _target(second.overrides):
            better, worse = (first, second) if gap > 0 else (second, first)
            ours, interval = _difference(measured[better.name], measured[worse.name])
            yield Pair(spec.heading.name, better.name, worse.name, abs(gap), ours, interval)


def _target(overrides: list[str]) -> list[str]:
    return [each for each in overrides if each.startswith("patches.target=")]


def _difference(better: Row, worse: Row) -> tuple[float, tuple[float, float] | None]:
    theirs = {result.seed: result.value for result in worse.measured}
    gaps = [100 * (r.value - theirs[r.seed]) for r in better.measured if r.seed in theirs]  # type: ignore[operator]
    if len(gaps) < 2:
        return 100 * ((better.mean or 0) - (worse.mean or 0)), None
    reach = stats.t.ppf((1 + LEVEL) / 2, len(gaps) - 1) * np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    return float(np.mean(gaps)), (float(np.mean(gaps) - reach), float(np.mean(gaps) + reach))


def report(found: list[Pair], missing: list[str], reasons: dict[str, str], *, whole: bool = False) -> str:
    """The count, table by table and in all, and pairs that do not come out with their reason; `whole`: all pairs."""
    right = sum(pair.comes_out for pair in found)
    share = f"{100 * right / len(found):.0f} %" if found else "none"
    lines = ["# Orderings of the papers' ablation tables", "", f"{right} of {len(found)} pairs come out: {share}.", ""]
    lines += ["| table | pairs | come out | of them beyond the seeds |", "| --- | --- | --- | --- |"]
    for name in dict.fromkeys(pair.table for pair in found):
        own = [pair for pair in found if pair.table == name]
        good = [pair for pair in own if pair.comes_out]
        lines.append(f"| {name} | {len(own)} | {len(good)} | {sum(not pair.undecided for pair in good)} |")
    lines += ["", "| table | the paper: better | than | paper | ours [95 % over seeds] | reason |", "|" + " --- |" * 6]
    lines += [_line(pair, reasons) for pair in found if whole or not pair.comes_out]
    lines += ["", *(f"No committed result: {name}." for name in missing)]
    return "\n".join(lines).rstrip() + "\n"


def _line(pair: Pair, reasons: dict[str, str]) -> str:
    interval = "" if pair.interval is None else f" [{pair.interval[0]:+.1f}, {pair.interval[1]:+.1f}]"
    undecided = "another seed is not covered" if pair.interval is None else "the interval over the seeds holds 0"
    reason = reasons.get(f"{pair.table}: {pair.better} > {pair.worse}", undecided if pair.undecided else "not known")
    reason = "comes out" if pair.comes_out else reason
    cells = (pair.table, pair.better, pair.worse, f"+{pair.paper:.1f}", f"{pair.ours:+.1f}{interval}", reason)
    return f"| {' | '.join(cells)} |"


def committed(name: str, data: Sequence[str], results: Path) -> Table | None:
    """Our table of a name on one of these data sets: the newest file, without those of departures from the paper."""
    method, _, table = name.partition("/")
    files = [path for each in data for path in sorted((results / method / "results").glob(f"{table}-{each}-*.json"))]
    tables = [read_table(path) for path in files]
    plain = [each for each in tables if all(o in ALIKE for o in each.overrides if o.startswith("ablation"))]
    return max(plain, key=lambda each: each.collected, default=None)


def main() -> None:
    """Count, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["shapes", "shapes_bodies"])
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--results", type=Path, default=HERE, help="folder with <method>/results")
    parser.add_argument("--all", action="store_true", help="also the pairs that come out")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    tables = {name: committed(name, given.data, given.results) for name in given.tables}
    found = [p for name, t in tables.items() if t for p in pairs(read_spec(HERE / f"{name}.yaml"), t)]
    text = report(found, [name for name, t in tables.items() if t is None], _reasons(), whole=given.all)
    text += "\n" + "".join(f"- {name}: {' '.join(t.overrides)}\n" for name, t in tables.items() if t and t.overrides)
    if given.out is None:
        print(text, end="")
    else:
        given.out.write_text(text, encoding="utf-8")


def _reasons() -> dict[str, str]:
    path = HERE / "orderings.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: give a mapping from `table: better > worse` to a reason.")
    return content


if __name__ == "__main__":
    main()
