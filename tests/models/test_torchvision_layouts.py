"""Networks that torchvision has too: the same names, shapes and types of all weights, so that its files load strictly."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from gradus.models import MODELS, create_model

LAYOUTS = Path(__file__).with_name("torchvision_layouts.txt.gz")


def read_layouts() -> dict[str, dict[str, str]]:
    """Network -> name of an entry -> its shape and type; and under "" the number of parameters."""
    found: dict[str, dict[str, str]] = {}
    for line in gzip.decompress(LAYOUTS.read_bytes()).decode().splitlines():
        if line.startswith("== "):
            _, network, parameters = line.split()
            found[network] = {"": parameters}
        elif not line.startswith("#"):
            name, _, entry = line.partition(" ")
            found[network][name] = entry
    return found


@pytest.mark.parametrize("name", [name for name in read_layouts() if name in MODELS])
def test_every_entry_is_torchvisions(name):
    with torch.device("meta"):
        model = create_model(name, num_classes=1000)
    ours = {"": str(sum(parameter.numel() for parameter in model.parameters()))}
    for key, tensor in model.state_dict().items():
        kind = "" if tensor.dtype == torch.float32 else f" {tensor.dtype}".replace("torch.", "")
        ours[key] = "x".join(map(str, tensor.shape)) + kind
    assert ours == read_layouts()[name]


def test_no_network_of_the_list_is_missing():
    assert set(read_layouts()) - set(MODELS) == set()
