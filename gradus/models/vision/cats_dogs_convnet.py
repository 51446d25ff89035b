"""The cats-and-dogs convnet of *Deep Learning with Python* §5.2 (listings 5-5 and 5-13), for 150x150 pictures.

Four times a 3x3 convolution and 2x2 max pooling (148, 74, 72, 36, 34, 17, 15, 7), and a dense layer of 512. The book has one
sigmoid output: 3 453 121 parameters (`num_classes=1`); with two classes and cross-entropy, which is the same model written with
one weight vector more, 3 453 634. Listing 5-13 adds dropout of 0.5 before the dense layer.
"""

from __future__ import annotations

from torch import nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.nn import initialize

STAGES = {
    **{name: (name,) for name in ("block1", "block2", "block3", "block4")},
    "hidden": ("flatten", "dropout", "hidden"),
    "head": ("head",),
}


class CatsDogsConvnet(StagedNetwork):
    """(B, in_channels, image_size, image_size) -> logits (B, num_classes); image_size at least 46.

    dropout:        before the dense layer
    initialization: a scheme of `gradus.nn.initialize`; "glorot" is Keras'
    """

    usual_image_size = 150
    smallest_image_size = 46
    stages = STAGES

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 3,
        image_size: int = 150,
        dropout: float = 0.0,
        initialization: str = "glorot",
    ) -> None:
        super().__init__()
        if image_size < self.smallest_image_size:
            raise UserError(
                f"cats_dogs_convnet needs pictures of at least 46x46 pixels, received image_size {image_size}"
            )
        if not 0 <= dropout < 1:
            raise UserError(f"dropout must be in 0..1 (1 excluded), received {dropout}")
        self.image_size = image_size
        side, before = image_size, in_channels
        for number, maps in enumerate((32, 64, 128, 128), start=1):
            setattr(self, f"block{number}", nn.Sequential(nn.Conv2d(before, maps, 3), nn.ReLU(), nn.MaxPool2d(2)))
            side, before = (side - 2) // 2, maps
        self.flatten = nn.Flatten()  # 7 * 7 * 128 = 6272
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Sequential(nn.Linear(before * side * side, 512), nn.ReLU())
        self.head = nn.Linear(512, num_classes)
        initialize(self, initialization)
