"""The numbers of `docs/models.md` are those of the networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from gradus.models import MODELS, accepted_options, create_model, image_sizes, smallest_image_size
from gradus.train.measure import operations

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
ROW = re.compile(r"\| `(\w+)` \| [^|]* \| ([\d ]+) \| (\d+) \| ([\d, ]+) \| ([\d. ]+) \|")
ROWS = [[part.replace(" ", "") for part in row] for row in ROW.findall(PAGE.read_text())]


# for vectors, of any depth and width, or told in a sentence
UNLISTED = {
    *("logistic_regression", "mlp", "lenet5_dropout", "convnet"),
    *("cifar_resnet", "preact_resnet", "wide_resnet", "cifar_densenet"),
    *("fcn32s", "fcn16s", "fcn8s", "deeplab", "segnet", "unet"),  # docs/segmentation.md
}


def test_the_tables_have_every_network():
    assert sorted(row[0] for row in ROWS) == sorted(set(MODELS) - UNLISTED)


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
