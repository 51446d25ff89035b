"""Plain convnets from a pattern, as in *Principles and Practice* eq. 4-4:

    INPUT -> [[CONV -> ReLU] x N -> POOL] x M -> [FC -> ReLU] x K -> OUTPUT

written as "[CONV->POOL]x2->FC". INPUT, OUTPUT and the ReLU behind every CONV and FC are understood; numbers say how often what
stands in brackets is repeated; CONV:48, CONV:48:5 or FC:256 set the maps (and the side of the kernel) or the width.
"""

from __future__ import annotations

import re

from torch import nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork

LARGEST = 200  # layers that one pattern may stand for
EXAMPLE = "[CONV->CONV->POOL]x3->[FC]x2"


class Convnet(StagedNetwork):
    """(B, in_channels, image_size, image_size) -> logits (B, num_classes).

    pattern: of layers, as above. "" is a linear classifier, "[CONV->CONV->POOL]x3->[FC]x2" a small VGG
    width:   maps of the first CONV; they double behind every POOL. Convolutions are 3x3 and keep the size, pools are 2x2
    dense:   units of an FC
    """

    def __init__(
        self,
        pattern: str = "[CONV->POOL]x2->FC",
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: int = 32,
        width: int = 32,
        dense: int = 128,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.blocks, self.hidden, self.flatten = nn.ModuleList(), nn.Sequential(), nn.Flatten()
        block, maps, before, side = nn.Sequential(), width, in_channels, image_size
        features = 0  # inputs of the next dense layer, once there was one
        for layer, first, second in parse(pattern):
            if layer == "FC":
                self.hidden.extend([nn.Linear(features or before * side**2, first or dense), nn.ReLU()])
                features = first or dense
            elif features:
                raise UserError(f"pattern '{pattern}': {layer} stands behind FC; dense layers come last")
            elif layer == "CONV":
                kernel = second or 3
                block.extend([nn.Conv2d(before, first or maps, kernel, padding=kernel // 2), nn.ReLU()])
                before = first or maps
            else:
                block.append(nn.MaxPool2d(2))
                side, maps = side // 2, 2 * maps
                self.blocks.append(block)
                block = nn.Sequential()
                if side < 1:
                    raise UserError(f"pattern '{pattern}': nothing is left of {image_size}x{image_size} pixels to pool")
        if len(block):
            self.blocks.append(block)
        self.head = nn.Linear(features or before * side**2, num_classes)
        self.stages = {f"block{index + 1}": (f"blocks.{index}",) for index in range(len(self.blocks))}
        if features:
            self.stages["hidden"] = ("flatten", "hidden")
        self.stages["head"] = ("head",) if features else ("flatten", "head")


def parse(pattern: str) -> list[tuple[str, int, int]]:
    """(CONV, POOL or FC, first number or 0, second number or 0) of each layer, brackets written out.

    Raises `UserError` naming what cannot be read.
    """
    text = re.sub(r"\s", "", pattern).upper().replace("→", "->").replace("×", "X")
    text = re.sub(r"(^|->)OUTPUT$", "", re.sub(r"^INPUT(->|$)", "", text))
    innermost = re.compile(r"\[([^\[\]]*)\](?:X(\d+))?")
    while found := innermost.search(text):
        times = int(found[2] or 1)
        if not 1 <= times <= LARGEST:
            raise UserError(f"pattern '{pattern}': a part is repeated 1 to {LARGEST} times, not {times}")
        text = text[: found.start()] + "->".join([found[1]] * times) + text[found.end() :]
        if text.count("->") >= LARGEST:
            raise UserError(f"pattern '{pattern}': it stands for more than {LARGEST} layers")
    layers = []
    for word in text.split("->") if text else []:
        match = re.fullmatch(r"(CONV|POOL|FC)(?::(\d+))?(?::(\d+))?", word)
        numbers = {"CONV": 2, "POOL": 0, "FC": 1}
        given = [int(number) for number in match.groups()[1:] if number] if match else []
        odd = len(given) < 2 or given[1] % 2 == 1
        if not match or len(given) > numbers[match[1]] or not all(given) or not odd:
            raise UserError(
                f"pattern '{pattern}': '{word}' is no CONV, CONV:MAPS, CONV:MAPS:ODD_SIDE, POOL, FC or FC:UNITS"
            )
        first, second = (*given, 0, 0)[:2]
        layers.append((match[1], first, second))
    return layers
