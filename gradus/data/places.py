"""Where data sets are looked for: the one file that reads the environment for data.

    GRADUS_DATA      folders of ready data sets, NAME/SPLIT.parquet in each, separated as in PATH
    GRADUS_CACHE     folder that downloads are kept in; otherwise XDG_CACHE_HOME/gradus, otherwise ~/.cache/gradus
    HF_ENDPOINT      address of the Hugging Face Hub or of a mirror
    HF_HUB_OFFLINE   1: the network is not to be used

They are read at every call, not at import, so that a program can set them late.
"""

from __future__ import annotations

import os
from pathlib import Path

from gradus.errors import UserError

HUB = "https://huggingface.co"


def data_folders() -> list[Path]:
    """The folders of GRADUS_DATA in their order, whether they exist or not."""
    listed = os.environ.get("GRADUS_DATA", "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in listed if folder.strip()]


def cache_folder() -> Path:
    """The folder that downloaded data sets are kept in; it may not exist yet."""
    chosen = os.environ.get("GRADUS_CACHE", "").strip()
    if chosen:
        return Path(chosen).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(caches) if caches else Path.home() / ".cache") / "gradus"


def hub_endpoint() -> str:
    """The address of the Hub, without a slash at the end. Raises `UserError` where HF_ENDPOINT is not an address."""
    address = os.environ.get("HF_ENDPOINT", "").strip() or HUB
    if not address.startswith(("https://", "http://")):
        raise UserError(f"HF_ENDPOINT: expected an address such as {HUB}, received '{address}'")
    return address.rstrip("/")


def hub_offline() -> bool:
    """Whether the user has forbidden the network, by the same variables and values as huggingface-hub."""
    chosen = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return chosen.strip().upper() in ("1", "ON", "YES", "TRUE")
