"""README.md of this folder: what was measured beside which peer, ratio, target, met or missed, and why it was missed.

python experiments/speed/page.py [--results FOLDER] [--out FILE]

Reads lines.yml, which says what of results/<program>.json stands beside what, and those files; of a program that
measured on a device, results/<program>-<device>.json, too. A result of a GPU has targets of its own. What a result
should have and lacks is named. No number is written by hand.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from measurement import Row

HERE = Path(__file__).parent
Place = list[Any]  # names, numbers of lists, or what an element of a list has: {labels: 7}


@dataclass(frozen=True)
class Line:
    """A comparison as lines.yml says it.

    `ours`, `theirs`: where the numbers lie; `limit`: in the place of theirs; `target`: the least ratio on processors,
    `gpu`: on a GPU; `gpu_only`: processors have no such number; `rate`: the numbers are items a second; `share`: they
    are parts of a whole; `missed`: where the time goes, and what was tried.
    """

    program: str
    what: str
    peer: str
    ours: Place
    theirs: Place | None = None
    limit: float | None = None
    target: float | None = None
    gpu: float | None = None
    gpu_only: bool = False
    rate: bool = False
    share: bool = False
    missed: str | None = None

    def numbers(self, found: Row) -> tuple[float, float]:
        """Ours and the peer's."""
        theirs = self.limit if self.theirs is None else at(found, self.theirs)
        assert theirs is not None
        return at(found, self.ours), theirs

    def ratio(self, found: Row) -> float:
        """How many times as fast ours is."""
        ours, theirs = self.numbers(found)
        return ours / theirs if self.rate or self.share else theirs / ours

    def wanted(self, found: Row) -> float | None:
        """The target where it was measured."""
        return self.gpu if on_gpu(found) else self.target

    def has(self, found: Row) -> bool:
        """Whether a result has both numbers; a form that was refused is None there."""
        try:
            self.numbers(found)
        except (KeyError, IndexError, StopIteration, TypeError):
            return False
        return True


def on_gpu(found: Row) -> bool:
    """Whether a result is of a machine with a GPU."""
    return found["machine"].get("device") is not None


def read_lines(path: Path = HERE / "lines.yml") -> list[Line]:
    """Those of lines.yml, by program."""
    programs = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [Line(program=program, **line) for program, lines in programs.items() for line in lines]


def at(found: Any, path: Place) -> float:
    """The number at a path."""
    for step in path:
        found = next(e for e in found if step.items() <= e.items()) if isinstance(step, dict) else found[step]
    return float(found)


def results(line: Line, folder: Path) -> Iterator[tuple[str, Row]]:
    """All results that should have a line's numbers, by the names of their files."""
    paths = [folder / f"{line.program}.json", *sorted(folder.glob(f"{line.program}-*.json"))]
    for path in filter(Path.is_file, paths):
        found = json.loads(path.read_text(encoding="utf-8"))
        if on_gpu(found) or not line.gpu_only:
            yield path.stem, found


def measured(lines: list[Line], folder: Path) -> Iterator[tuple[Line, str, Row]]:
    """Each line with every result that has it, and where that was measured."""
    return ((line, stem, found) for line in lines for stem, found in results(line, folder) if line.has(found))


def lacking(lines: list[Line], folder: Path) -> list[str]:
    """A sentence for each result that lacks numbers, and one for the lines without any result."""
    missing: dict[str, list[str]] = {}
    for line in lines:
        for stem, found in results(line, folder):
            if not line.has(found):
                missing.setdefault(stem, []).append(f"{line.what}, beside {line.peer}")
    never = [f"{line.what} (`{line.program}`)" for line in lines if not [*results(line, folder)]]
    return [f"- `{stem}` has no numbers of: {'; '.join(each)}." for stem, each in missing.items()] + (
        [f"- There is no result yet of: {'; '.join(never)}."] if never else []
    )


def page(lines: list[Line], folder: Path) -> list[str]:
    """The Markdown page."""
    rows, lacks = [*measured(lines, folder)], lacking(lines, folder)
    judged = [verdict for line, _, found in rows if (verdict := _verdict(line, found))]
    whole = f"{judged.count('met')} of {len(judged)} targets are met." if judged else "There are no results yet."
    return [
        "# Speed beside what a user would pick instead",
        "",
        "Written by `python experiments/speed/page.py` from [results/](results/): `make speed` measures what "
        "processors allow, `experiments/gpu.sh` the rest. Both sides are measured in one run, in turns, and medians "
        "compared. The ratio says how many times as fast as the peer ours is; a limit's is the limit over ours. "
        f"{whole} Each program's own page says what its numbers are of, and many have spreads or floors.",
        "",
        "| what | ours | peer | peer's | ratio | target | |",
        "|---|---:|---|---:|---:|---:|---|",
        *(_row(*row) for row in rows),
        "",
        *_missed(rows),
        *(["## What was not measured", "", *lacks, ""] if lacks else []),
        "## Conditions",
        "",
        *_conditions(rows),
    ]


def _row(line: Line, stem: str, found: Row) -> str:
    ours, theirs = line.numbers(found)
    target = line.wanted(found)
    form = (lambda number: f"{number:.0f} /s") if line.rate else "{:.1%}".format if line.share else _seconds
    return (
        f"| [{line.what}](results/{stem}.md) | {form(ours)} | {line.peer} | {form(theirs)} | {line.ratio(found):.2f} "
        f"| {'' if target is None else f'{target:g}'} | {_verdict(line, found)} |"
    )


def _verdict(line: Line, found: Row) -> str:
    target = line.wanted(found)
    return "" if target is None else "met" if line.ratio(found) >= target else "**missed**"


def _seconds(number: float) -> str:
    return f"{1000 * number:.3g} ms" if number < 1 else f"{number:.3g} s" if number < 100 else f"{number:,.0f} s"


def _missed(rows: list[tuple[Line, str, Row]]) -> list[str]:
    """Where the time goes of what is below its target, and what was tried."""
    reasons: dict[str, list[str]] = {}
    for line in (line for line, _, found in rows if "missed" in _verdict(line, found)):
        reasons.setdefault(line.missed or "not looked into yet.", []).append(f"{line.what}, beside {line.peer}")
    words = [f"- {'; '.join(dict.fromkeys(lines))}: {reason}" for reason, lines in reasons.items()]
    return ["## Where a target is missed", "", *words, ""] if words else []


def _conditions(rows: list[tuple[Line, str, Row]]) -> list[str]:
    by_file = {stem: found["machine"] for _, stem, found in rows}
    return [
        f"- `{name}`: `{at['command']}`, {at['date']}, commit {at['commit'][:9]}, "
        f"{at.get('device') or at['processor']}, load average {at['load_average_1_5_15_min'][0]}, {at['cores']} cores."
        for name, at in by_file.items()
    ]


def main(arguments: list[str]) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description="One page of all speed results.")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--out", type=Path, default=HERE / "README.md")
    options = parser.parse_args(arguments)
    options.out.write_text("\n".join(page(read_lines(), options.results)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
