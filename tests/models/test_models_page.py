"""The numbers of `docs/models.md` are those of the networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from gradus.models import accepted_options, create_model, image_sizes, smallest_image_size
from gradus.train.measure import operations

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
ROW = re.compile(r"\| `(\w+)` \| [^|]* \| ([\d ]+) \| (\d+) \| ([\d, ]+) \| ([\d. ]+) \|")
ROWS = [[part.replace(" ", "") for part in row] for row in ROW.findall(PAGE.read_text())]


def test_the_table_is_read():
    assert len(ROWS) >= 20 and "vgg16" in {row[0] for row in ROWS}


@pytest.mark.parametrize(("name", "parameters", "side", "smallest", "millions"), ROWS, ids=[row[0] for row in ROWS])
def test_a_row_of_the_table(name, parameters, side, smallest, millions):
    channels = 1 if name.startswith("lenet") else 3
    with torch.device("meta"):
        model = create_model(name).eval()
        found = operations(model, torch.empty(1, channels, int(side), int(side))) / 2e6
    assert sum(parameter.numel() for parameter in model.parameters()) == int(parameters)
    assert getattr(model, "usual_image_size", None) in (int(side), None) and ("usual_image_size" in dir(model)) == (
        "image_size" not in accepted_options(name)
    )
    assert smallest == ",".join(map(str, image_sizes(name, {}) or (smallest_image_size(name),)))
    assert f"{found:.1f}" == millions
