"""The pages of the site: what is made from conf/, code and texts, and the lines about one's own photographs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fake_pictures import write_discs

from wsss_lightning import cli

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs" / "hooks"))  # as MkDocs does
from build import expanded  # noqa: E402
from configuration import Setting, configuration_pages, introduction, settings  # noqa: E402
from interface import interface_pages  # noqa: E402
from messages import messages  # noqa: E402
from repository import linked, referred, repository_pages  # noqa: E402

YAML = """\
# @package tuning
# What this file is,
# in two lines.
defaults: [other]
rate: 1.0e-3 # of the first layers
# Stands above what it tells of.
inner: # a mapping
  list: [1, 2] # with `marks`
  text: "a # b"
  deep: {k: 3}

stages:
  one:
    - first
"""


def test_settings_have_their_values_and_the_comments_beside_them() -> None:
    assert introduction(YAML) == "What this file is, in two lines."
    assert settings(YAML) == [
        Setting("defaults", "[other]", ""),
        Setting("rate", "1.0e-3", "of the first layers"),
        Setting("inner", "", "Stands above what it tells of.; a mapping"),
        Setting("inner.list", "[1, 2]", "with `marks`"),
        Setting("inner.text", '"a # b"', ""),
        Setting("inner.deep", "{k: 3}", ""),
        Setting("stages.one", "- first", ""),
    ]


def test_every_file_of_the_configuration_is_told_with_its_settings() -> None:
    pages = {page.path: page.text for page in configuration_pages()}
    for path in (ROOT / "conf").glob("*/**/*.yaml"):
        group, *rest = path.relative_to(ROOT / "conf").with_suffix("").parts
        assert f"\n## {'/'.join(rest)}\n" in pages[f"reference/config/{group}.md"]
    assert "| `crf.spatial_weight` | `3` |" in pages["reference/config/crf.md"]
    assert "| `points.threshold` | `0.2` | sec. 4.2: the best of its sweep" in pages["reference/config/method.md"]
    assert "| [`backbone`](backbone.md) | `tiny` |" in pages["reference/config/index.md"]
    assert "| `seed` | `0` |" in pages["reference/config/index.md"]


def test_every_module_that_is_no_command_has_a_page() -> None:
    text = "\n".join(page.text for page in interface_pages())
    told = set(re.findall(r"^::: (\S+)$", text, flags=re.MULTILINE))
    for path in (ROOT / "wsss_lightning").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if path.name.startswith("_") or "commands" in path.parts or path.name == "cli.py":
            continue
        assert name in told


def test_messages_that_troubleshooting_quotes_stand_in_the_code() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\*\*``(.*)``\*\*$", text, flags=re.MULTILINE)
    raised = {message for path in (ROOT / "wsss_lightning").rglob("*.py") for message in messages(path)}
    assert len(quoted) > 30
    assert not set(quoted) - raised


def test_a_message_keeps_what_is_written_out(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        'raise InputError(f"{path} is " f"{kind!r} twice: " + "keep one.")\nraise InputError(str(e))'
    )
    assert list(messages(tmp_path / "code.py")) == ["… is … twice: keep one."]


def test_links_between_texts_become_links_between_pages() -> None:
    places = {
        "docs/crf.md": "crf.md",
        "experiments/points/README.md": "papers/points.md",
        "CHANGELOG.md": "changelog.md",
    }
    text = "[a](../../docs/crf.md#processes) [b](table.yaml) [c](https://x.org/a.md) ![d](e.png) [f](README.md)"
    assert linked(text, "experiments/points/README.md", "papers/points.md", places) == (
        "[a](../crf.md#processes) b [c](https://x.org/a.md) ![d](e.png) [f](points.md)"
    )


def test_names_of_code_on_a_papers_page_lead_to_it() -> None:
    text = "`ops.crf.dense_crf`, `nn.typo`, `methods.points.mil`, `data.classes`, `methods.points.mil.typo`"
    assert referred(text) == (
        "[`ops.crf.dense_crf`][wsss_lightning.ops.crf.dense_crf], `nn.typo`, "
        "[`methods.points.mil`][wsss_lightning.methods.points.mil], `data.classes`, `methods.points.mil.typo`"
    )


def test_the_navigation_names_what_there_is() -> None:
    entries = [{"A": ["x.md", "gone.md", "*"]}, {"B": ["b/*"]}, {"C": ["gone.md"]}]
    pages = ["x.md", "y.md", "b/one.md", "b/two.md", "z.md"]
    found = expanded(entries, pages, {"x.md", "gone.md", "z.md", "b/two.md", "*", "b/*"})
    assert found == [{"A": ["x.md", "y.md"]}, {"B": ["b/one.md"]}]


def test_texts_that_lie_elsewhere_are_pages() -> None:
    places = {page.path for page in repository_pages()}
    assert {"contributing.md", "changelog.md", "papers/points.md", "papers/compare.md"} <= places
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert str(nav).count("papers/") == 7


PHOTOGRAPHS = (ROOT / "docs" / "photographs.md").read_text(encoding="utf-8")
FEW = ["backbone=tiny", "tuning.student.steps=2", "tuning.classifier.epochs=1", "trainer.accelerator=cpu"]


def _call(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["wsss", *arguments])
    try:
        cli.main()
    except SystemExit as ended:
        assert not ended.code, arguments


@pytest.mark.long
def test_the_lines_about_photographs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSSS_ROOT", raising=False)
    monkeypatch.setenv("WSSS_PROCESSES", "1")
    shutil.rmtree(write_discs(tmp_path / "own", count=8) / "masks")
    head, first, *lines = (line.rpartition(",")[0] for line in (tmp_path / "own/tags.csv").read_text().splitlines())
    (tmp_path / "own/tags.csv").write_text("\n".join([head, f"{first.partition(',')[0]},", *lines, ""]))
    for block in re.findall(r"^```console\n(.*?)^```", PHOTOGRAPHS, flags=re.MULTILINE | re.DOTALL):
        for command in block.splitlines():
            words = shlex.split(command)[1:]
            small = [word for word in words if word != "backbone=resnet18"] + FEW if words[0] == "run" else words
            _call(small, monkeypatch)
    assert {path.stem for path in (tmp_path / "labelled" / "masks").iterdir()} == {f"p{n:02}" for n in range(8)}
    assert (tmp_path / "sharpened" / "overlays" / "p00.jpg").is_file()
    assert (tmp_path / "mine" / "model.safetensors").is_file()


@pytest.mark.long
def test_the_site_is_built_and_asks_nobody_for_anything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"})
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 80
    for page in pages:
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"?([^\s\">]+)", page.read_text("utf-8"))
        assert not [address for address in loaded if "://" in address], page
