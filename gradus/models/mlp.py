"""Multilayer perceptron: fully connected layers of any widths.

`mlp` with hidden=(512,) on 784 pixels is the 407 050-parameter network of *Deep Learning with Python* §2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gradus.errors import UserError
from gradus.nn import activation as make_activation
from gradus.nn import initialize


class MultilayerPerceptron(nn.Module):
    """(B, ...) flattened to (B, in_features) -> (B, num_classes).

    hidden:     widths of the hidden layers, from the input on; () is logistic regression
    activation: after every hidden layer, a name of `gradus.nn.ACTIVATIONS`; learned ones have parameters for each unit
    dropout:    share of each hidden layer's outputs set to zero in training
    initialization: a scheme of `gradus.nn.initialize`, such as "pytorch", "glorot", "he"
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        dropout: float = 0.0,
        initialization: str = "pytorch",
    ) -> None:
        super().__init__()
        if isinstance(hidden, int):
            hidden = (hidden,)
        if not all(isinstance(width, int) and width > 0 for width in hidden):
            raise UserError(f"mlp: hidden widths must be whole numbers above 0, received {list(hidden)}")
        if not 0 <= dropout < 1:
            raise UserError(f"mlp: dropout must be in 0..1 (1 excluded), received {dropout}")
        make_activation(activation)  # a wrong name is told even where there is no hidden layer
        layers: list[nn.Module] = []
        width = in_features
        for next_width in hidden:
            layers += [nn.Linear(width, next_width), make_activation(activation, next_width)]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = next_width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(width, num_classes)
        initialize(self, initialization)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.features(inputs.flatten(1)))
