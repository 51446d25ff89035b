"""LeNet-5: LeCun, Bottou, Bengio, Haffner 1998, *Gradient-Based Learning Applied to Document Recognition*, fig. 2.

Input 32x32 grey, where MNIST's 28x28 digits stand in a border of 2. The first two take image_size 32, or 28 and then
pad by 2 in the first convolution, which is the same.

variant         parameters  differs from the paper in
lenet5_1998         60 850  the output: linear (850) for Euclidean distances to fixed 7x12 bitmaps; cross-entropy
lenet5              61 706  ReLU for scaled tanh, max pooling for trainable subsampling, C3 fully connected, linear output
lenet5_dropout     254 718  *Principles and Practice* listing 4-5: 32 maps of 3x3 (padded), 64 of 5x5, dropout; same dense part
lenet_caffe        431 080  Caffe's example: 20 and 50 maps, no activation after the convolutions, max pooling, one hidden layer
"""

from __future__ import annotations

from torch import nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.nn import ScaledTanh, SparselyConnectedConv2d, Subsampling, initialize

# Table I of the paper: which of the 6 maps of S2 each of the 16 maps of C3 sees. 60 connections.
C3_CONNECTIONS = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)),
)


IMAGE_SIZES = (28, 32)  # the sides it takes; data of another size are brought to the first

STAGES = {"features": ("features",), "hidden": ("flatten", "hidden"), "head": ("head",)}


def _padding(image_size: int) -> int:
    if image_size not in IMAGE_SIZES:
        raise UserError(f"LeNet-5 takes pictures of 28x28 or 32x32 pixels, received image_size {image_size}")
    return (32 - image_size) // 2


class LeNet5(StagedNetwork):
    """Today's form. (B, in_channels, 28 or 32, same) -> logits (B, num_classes)."""

    image_sizes = IMAGE_SIZES
    stages = STAGES

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        super().__init__()
        self.image_size = image_size
        self.flatten = nn.Flatten()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=_padding(image_size)),  # C1: 28x28
            nn.ReLU(),
            nn.MaxPool2d(2),  # S2: 14x14
            nn.Conv2d(6, 16, 5),  # C3: 10x10
            nn.ReLU(),
            nn.MaxPool2d(2),  # S4: 5x5
        )
        self.hidden = nn.Sequential(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())  # C5, F6
        self.head = nn.Linear(84, num_classes)


class LeNet5Of1998(StagedNetwork):
    """The paper's form, but for the output layer. (B, in_channels, 28 or 32, same) -> logits (B, num_classes)."""

    image_sizes = IMAGE_SIZES
    stages = STAGES

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        super().__init__()
        self.image_size = image_size
        self.flatten = nn.Flatten()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=_padding(image_size)),  # C1: 28x28, 156 parameters
            ScaledTanh(),
            Subsampling(6),  # S2: 14x14, 12
            ScaledTanh(),
            SparselyConnectedConv2d(6, C3_CONNECTIONS, 5),  # C3: 10x10, 1 516
            ScaledTanh(),
            Subsampling(16),  # S4: 5x5, 32
            ScaledTanh(),
        )
        # C5 is a 5x5 convolution over a 5x5 map, so a dense layer: 48 120. F6: 10 164
        self.hidden = nn.Sequential(nn.Linear(400, 120), ScaledTanh(), nn.Linear(120, 84), ScaledTanh())
        self.head = nn.Linear(84, num_classes)


class LeNet5Dropout(StagedNetwork):
    """The listing's form, 28x28 only there. (B, in_channels, image_size, same), at least 12 -> logits (B, num_classes)."""

    smallest_image_size = 12
    stages = STAGES

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28, initialization: str = "pytorch"
    ) -> None:
        super().__init__()
        least = self.smallest_image_size
        if image_size < least:
            raise UserError(
                f"lenet5_dropout needs pictures of at least {least}x{least} pixels, received image_size {image_size}"
            )
        side = (image_size // 2 - 4) // 2
        self.image_size = image_size
        self.flatten = nn.Flatten()
        self.features = nn.Sequential(  # for 28x28:
            nn.Conv2d(in_channels, 32, 3, padding=1),  # 28x28
            nn.ReLU(),
            nn.MaxPool2d(2),  # 14x14
            nn.Conv2d(32, 64, 5),  # 10x10
            nn.ReLU(),
            nn.MaxPool2d(2),  # 5x5
            nn.Dropout(0.25),
        )
        self.hidden = nn.Sequential(
            *(nn.Linear(64 * side * side, 120), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(120, 84), nn.ReLU(), nn.Dropout(0.5)),
        )
        self.head = nn.Linear(84, num_classes)
        initialize(self, initialization)


class LeNetCaffe(StagedNetwork):
    """Caffe's. (B, in_channels, image_size, same), image_size at least 16 -> logits (B, num_classes).

    initialization: a scheme of `gradus.nn.initialize`; Caffe's "xavier" is uniform in +-sqrt(3 / fan-in), near "lecun"
    """

    smallest_image_size = 16
    stages = STAGES

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28, initialization: str = "lecun"
    ) -> None:
        super().__init__()
        side = ((image_size - 4) // 2 - 4) // 2
        if side < 1:
            raise UserError(f"lenet_caffe needs pictures of at least 16x16 pixels, received image_size {image_size}")
        self.image_size = image_size
        self.flatten = nn.Flatten()
        self.features = nn.Sequential(  # for 28x28:
            nn.Conv2d(in_channels, 20, 5),  # 24x24, 520 parameters
            nn.MaxPool2d(2),  # 12x12
            nn.Conv2d(20, 50, 5),  # 8x8, 25 050
            nn.MaxPool2d(2),  # 4x4
        )
        self.hidden = nn.Sequential(nn.Linear(50 * side * side, 500), nn.ReLU())  # 400 500
        self.head = nn.Linear(500, num_classes)  # 5 010
        initialize(self, initialization)
