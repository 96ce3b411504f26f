from __future__ import annotations

from pathlib import Path

import pytest

from wsss_lightning.pipeline import compose
from wsss_lightning.pipeline.dashboards import kept_offline

LOGIN = "machine api.wandb.ai\n  login user\n  password {key}\n".format(key="0" * 40)
VARIABLES = ("MODE", "API_KEY", "BASE_URL", "IDENTITY_TOKEN_FILE", "CONFIG_DIR")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Without any key."""
    for name in ("NETRC", *(f"WANDB_{name}" for name in VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_key_a_run_is_kept() -> None:
    assert kept_offline()
    assert compose(["logger=wandb"]).logger.wandb.offline is True


@pytest.mark.parametrize("name", ["MODE", "API_KEY", "IDENTITY_TOKEN_FILE"])
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"WANDB_{name}", "offline")
    assert compose(["logger=wandb"]).logger.wandb.offline is False


@pytest.mark.parametrize("name", [".netrc", "_netrc", "elsewhere"])
def test_a_login_is_a_key(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name == "elsewhere":
        monkeypatch.setenv("NETRC", str(home / name))
    (home / name).write_text(LOGIN)
    (home / name).chmod(0o600)
    assert compose(["logger=wandb"]).logger.wandb.offline is False
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert kept_offline()


@pytest.mark.parametrize("text", ["", "machine", "machine other.example.org login a password b\n", "\xff"])
def test_another_login_is_none(home: Path, text: str) -> None:
    (home / ".netrc").write_bytes(text.encode("latin1"))
    assert kept_offline()


def test_settings_may_hold_the_key_or_another_server(home: Path) -> None:
    settings = home / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nbase_url = https://wandb.example.org\n")
    (home / ".netrc").write_text(LOGIN)
    assert kept_offline()
    (home / ".netrc").write_text(LOGIN.replace("api.wandb.ai", "wandb.example.org"))
    assert not kept_offline()
    (home / ".netrc").unlink()
    settings.write_text("[default]\napi_key = 1\n")
    assert not kept_offline()
    settings.write_text("no settings")
    assert kept_offline()
