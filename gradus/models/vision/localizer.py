"""A network for places: a backbone's last map, pooled to a few cells, and dense layers that read every cell.

Networks for classes take the mean over their last map, which tells what is there and little of where. Sermanet et al. 2013
(*OverFeat*) likewise regress boxes by dense layers on the map itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.backbone import Backbone


class Localizer(nn.Module):
    """(B, in_channels, H, W), H and W at least `smallest_image_size` -> numbers (B, num_classes), without a bound.

    map_size: cells of the pooled map, along each side; width: channels it is brought to before; hidden: of the dense layer
    """

    smallest_image_size = 16

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        backbone: str = "squeezenet1_0",
        map_size: int = 7,
        width: int = 64,
        hidden: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, (16,), in_channels)
        self.head = nn.Sequential(
            *(nn.Conv2d(self.backbone.levels[-1].channels, width, 1), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(map_size), nn.Flatten(), nn.Dropout(dropout)),
            *(nn.Linear(width * map_size**2, hidden), nn.ReLU(), nn.Linear(hidden, num_classes)),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        height, width = pictures.shape[-2:]
        if min(height, width) < self.smallest_image_size:
            least = f"{self.smallest_image_size}x{self.smallest_image_size}"
            raise UserError(f"localizer takes pictures of at least {least} pixels, received {height}x{width}")
        return self.head(self.backbone(pictures)[-1])

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        return self.backbone.load(tensors, where)
