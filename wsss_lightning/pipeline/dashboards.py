"""Whether Weights & Biases is to be reached: looked up where it looks itself, since a plan must not import it."""

import netrc
import os
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from urllib.parse import urlsplit

_ITS_OWN = "https://api.wandb.ai"


def kept_offline() -> bool:
    """Whether a run of W&B has to be kept on disk, because there is no key to log in with.

    Where `WANDB_MODE` is set, it decides and not this. A key is one of the environment, of a login (`~/.netrc`, or the
    file that `NETRC` names), or of W&B's settings.
    """
    if any(os.environ.get(f"WANDB_{name}") for name in ("MODE", "API_KEY", "IDENTITY_TOKEN_FILE")):
        return False
    settings = _settings()
    if settings.get("api_key"):
        return False
    return not _has_login(os.environ.get("WANDB_BASE_URL") or settings.get("base_url") or _ITS_OWN)


def _settings() -> dict[str, str]:
    """The section `default` of W&B's settings of the user and, over it, of the folder."""
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    read = ConfigParser(interpolation=None)
    for path in (folder / "settings", Path("wandb/settings")):
        try:
            read.read(path, encoding="utf-8")
        except (ConfigError, UnicodeDecodeError):
            continue  # W&B says so when a run starts
    return dict(read["default"]) if read.has_section("default") else {}


def _has_login(url: str) -> bool:
    places = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    path = next((path for path in (Path(place).expanduser() for place in places) if path.exists()), None)
    if path is None:
        return False
    try:
        return netrc.netrc(path).authenticators(urlsplit(url).netloc) is not None
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        return False
