"""The numbers of `docs/models.md` are those of the networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gradus.models import MODELS, accepted_options, create_model, image_sizes, smallest_image_size
from gradus.models.detection.predictions import ProposedPictures
from gradus.train.measure import operations

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
ROW = re.compile(r"\| `(\w+)` \| [^|]* \| ([\d ]+) \| (\d+) \| ([\d, ]+) \| ([\d. ]+) \|")
ROWS = [[part.replace(" ", "") for part in row] for row in ROW.findall(PAGE.read_text())]

THING = re.compile(r"\| `(\w+)` \| [^|]* \| (\d+) (?:classes|numbers) \| ([\d ]+) \| (\d+) \| ([\d. ]+) \|")
THINGS = [[part.replace(" ", "") for part in row] for row in THING.findall(PAGE.read_text())]

# for vectors, of any depth and width, or told in a sentence
UNLISTED = {
    *("logistic_regression", "mlp", "lenet5_dropout", "convnet"),
    *("dbn_classifier", "neocognitron"),
    *("cifar_resnet", "preact_resnet", "wide_resnet", "cifar_densenet"),
}


def test_the_tables_have_every_network():
    # docs/sequences.md, docs/autoencoders.md, docs/reinforcement.md, ...
    others = ("sequence.", "pairs.", "generative.", "control.")
    elsewhere = {name for name in MODELS if MODELS[name][0].startswith(others)}
    assert sorted(row[0] for row in ROWS + THINGS) == sorted(set(MODELS) - UNLISTED - elsewhere)
    text = PAGE.read_text()
    assert {name for name in UNLISTED - {"logistic_regression", "mlp"} if f"`{name}`" not in text} == set()


@pytest.mark.parametrize(("name", "parameters", "side", "smallest", "millions"), ROWS, ids=[row[0] for row in ROWS])
def test_a_row_of_the_tables(name, parameters, side, smallest, millions):
    channels = 1 if name.startswith(("lenet", "mnist")) else 3
    with torch.device("meta"):
        model = create_model(name, **({"num_classes": 10} if name == "mnist_convnet" else {})).eval()
        found = operations(model, torch.empty(1, channels, int(side), int(side))) / 2e6
    assert sum(parameter.numel() for parameter in model.parameters()) == int(parameters)
    usual = getattr(model, "usual_image_size", None)
    assert usual == int(side) or (usual is None and "image_size" in accepted_options(name))
    assert smallest == ",".join(map(str, image_sizes(name, {}) or (smallest_image_size(name),)))
    assert f"{found:.1f}" == millions


class Told(nn.Module):
    """A detector up to its detections, the head on regions included."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor | ProposedPictures) -> Tensor:
        return self.model(inputs).detections()


def operations_with_regions(model: nn.Module, pictures: Tensor) -> float:
    """Those of one region, and so many times what a second one adds."""
    if not hasattr(model, "takes_proposals"):
        return operations(Told(model), pictures)
    region = torch.tensor([0.0, 0, 100, 100])
    one, two = (operations(Told(model), ProposedPictures(pictures, region.expand(1, count, 4))) for count in (1, 2))
    return one + (model.takes_proposals - 1) * (two - one)


@pytest.mark.parametrize(("name", "outputs", "parameters", "side", "millions"), THINGS, ids=[row[0] for row in THINGS])
def test_a_row_of_the_table_of_things(name, outputs, parameters, side, millions):
    regions = name.endswith("rcnn") or name == "spp_net"  # whose regions are read from the maps
    sides = {"picture_size": (int(side), int(side))} if "picture_size" in accepted_options(name) else {}
    with torch.device("cpu" if regions else "meta"):
        model = create_model(name, num_classes=int(outputs), **sides).eval()
        pictures = torch.zeros(1, 3, int(side), int(side))
        found = operations_with_regions(model, pictures) if regions else operations(model, pictures)
    assert sum(parameter.numel() for parameter in model.parameters()) == int(parameters)
    assert f"{found / 2e6:.1f}" == millions
