"""FractalNet: Larsson, Maire, Shakhnarovich 2016, *FractalNet: ultra-deep neural networks without residuals*, for CIFAR-10.

f_1 = conv and f_(C+1) = join(f_C o f_C, conv): C columns of 1, 2, 4, ... convolutions side by side, joined by the mean of their
outputs wherever two or more of them end. No shortcuts. Five such blocks of 64, 128, 256, 512, 512 maps, 2x2 max pooling behind
each; the deepest path has 5 * 2^(C - 1) convolutions (20 for C = 3), the shallowest 5.

columns   depth   parameters (the paper prints none for these; DenseNet's table 2 says 38.6 M of one of 21 layers)
3         20      33 724 618
4         40      76 106 634

Drop-path, in training: half of the rows see local dropping (a join leaves out each of its inputs with probability `drop_path`,
but never all of them), the other half global dropping (only one column of the whole network counts). The paper draws this
once a batch; here it is drawn for every row, so that every batch trains every path, and a step is the same sequence of
operations whatever was drawn. Dropout of 0, 10, 20, 30, 40 % in the five blocks is an option.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork
from gradus.models.vision.residual import conv3x3, draw_he

STAGES = {
    **{f"block{number}": (f"block{number}", f"pool{number}") for number in range(1, 6)},
    "head": ("avgpool", "flatten", "fc"),
}

WIDTHS = (64, 128, 256, 512, 512)


def join(outputs: list[Tensor], weights: Tensor | None) -> Tensor:
    """The mean of J tensors (B, C, H, W), or their sum by weights (B, J)."""
    stacked = torch.stack(outputs, dim=1)
    if weights is None:
        return stacked.mean(dim=1)
    return (stacked * weights[:, :, None, None, None].to(stacked.dtype)).sum(dim=1)


def local_weights(rows: int, inputs: int, drop_path: float, device: torch.device) -> Tensor:
    """(rows, inputs): 1 / (number kept) for what a join keeps. Where all would be dropped, one is kept, each alike likely."""
    draws = torch.rand(rows, inputs, device=device)
    kept = draws >= drop_path
    kept = kept | (~kept.any(dim=1, keepdim=True) & (draws == draws.amax(dim=1, keepdim=True)))
    return kept / kept.sum(dim=1, keepdim=True)


class FractalBlock(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H, W). Column j has 2^j convolutions, each with norm and ReLU.

    alone: set by the network for a pass of training with drop-path: (B,) the only column that counts for each row, or -1
    where joins drop their inputs. None: no dropping.
    """

    alone: Tensor | None = None

    def __init__(self, in_channels: int, out_channels: int, columns: int, drop_path: float, dropout: float) -> None:
        super().__init__()
        self.drop_path = drop_path

        def convolution(first: bool) -> nn.Sequential:
            layers: list[nn.Module] = [conv3x3(in_channels if first else out_channels, out_channels)]
            layers += [nn.Dropout(dropout)] if dropout else []
            return nn.Sequential(*layers, nn.BatchNorm2d(out_channels), nn.ReLU())

        self.columns = nn.ModuleList(
            nn.ModuleList(convolution(index == 0) for index in range(2**column)) for column in range(columns)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        columns = len(self.columns)
        longest = 2 ** (columns - 1)  # convolutions of the last column; column j has one every longest / 2^j of them
        states = [inputs] * columns
        for step in range(1, longest + 1):
            ending = [column for column in range(columns) if step * 2**column % longest == 0]
            outputs = []
            for column in ending:
                convolutions = self.columns[column]
                assert isinstance(convolutions, nn.ModuleList)
                outputs.append(convolutions[step * 2**column // longest - 1](states[column]))
            joined = join(outputs, self._weights(ending)) if len(outputs) > 1 else outputs[0]
            for column in ending:
                states[column] = joined
        return states[0]

    def _weights(self, ending: list[int]) -> Tensor | None:
        """(B, J) for the J columns that end here. Where the only column is none of them, nothing that counts reads the join."""
        if self.alone is None:
            return None
        local = local_weights(len(self.alone), len(ending), self.drop_path, self.alone.device)
        chosen = torch.stack([self.alone == column for column in ending], dim=1)
        return torch.where(chosen.any(dim=1, keepdim=True), chosen.to(local.dtype), local)


class FractalNet(StagedNetwork):
    """(B, in_channels, H, W), usually 32x32 -> logits (B, num_classes). A single stage that is run alone drops no paths.

    columns:      C
    drop_path:    probability that a join leaves out an input; 0: no drop-path at all, neither local nor global
    global_share: share of the rows that are trained through one column alone
    dropout:      of the last block; the others have 0, 1/4, 1/2, 3/4 of it (the paper: 0.4)
    width:        the factor of the maps
    """

    usual_image_size = 32
    smallest_image_size = 32
    stages = STAGES

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        columns: int = 3,
        drop_path: float = 0.15,
        global_share: float = 0.5,
        dropout: float = 0.0,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if not 1 <= columns <= 6:
            raise UserError(f"columns: expected 1 to 6, received {columns}")
        for name, share in (("drop_path", drop_path), ("dropout", dropout)):
            if not 0 <= share < 1:
                raise UserError(f"{name} must be in 0..1 (1 excluded), received {share}")
        if not 0 <= global_share <= 1:
            raise UserError(f"global_share must be in 0..1, received {global_share}")
        if not 1 / 64 <= width <= 4:
            raise UserError(f"width: the factor of the maps is 1/64 to 4, received {width}")
        self.num_columns, self.drop_path, self.global_share = columns, drop_path, global_share
        before = in_channels
        for number, maps in enumerate((int(maps * width) for maps in WIDTHS), start=1):
            block = FractalBlock(before, maps, columns, drop_path, dropout * (number - 1) / 4)
            setattr(self, f"block{number}", block)
            setattr(self, f"pool{number}", nn.MaxPool2d(2))
            before = maps
        self.avgpool = nn.AdaptiveAvgPool2d(1)  # of one point for 32x32
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(before, num_classes)
        draw_he(self)

    def forward(self, inputs: Tensor) -> Tensor:
        blocks = [module for module in self.modules() if isinstance(module, FractalBlock)]
        dropping = self.training and self.drop_path > 0
        alone = self._draw_columns(len(inputs), inputs.device) if dropping else None
        for block in blocks:
            block.alone = alone
        outputs = super().forward(inputs)
        for block in blocks:
            block.alone = None
        return outputs

    def _draw_columns(self, rows: int, device: torch.device) -> Tensor:
        """(rows,) one column for a `global_share` of the rows, -1 for the others."""
        column = torch.randint(self.num_columns, (rows,), device=device)
        return torch.where(torch.rand(rows, device=device) < self.global_share, column, -1)
