"""Recurrent networks: simple, LSTM and GRU, stacked and in both directions, for texts and series.

`lstm` with embedding_size=32, hidden_size=32 on 10 000 ids is the 328 353-parameter network of *Deep Learning with Python*,
listing 6-27 (with one bias a gate; PyTorch's cells have two).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.sequence.front import Front, last_step, reverse
from gradus.nn import RecurrentDropout, SameMaskDropout

Kind = Literal["simple", "lstm", "gru"]
KINDS: dict[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"simple": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """A stack of recurrent layers: vectors (B, T, n) and a mask (B, T) -> (B, T, `width`). What lies behind the end of a row
    changes nothing in it, in either direction.

    dropout:           before every layer but the first, and
    recurrent_dropout: on the hidden state from step to step, both with one mask a sequence (Gal and Ghahramani 2016)
    """

    def __init__(
        self,
        kind: Kind,
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kind not in KINDS or layers < 1:
            raise UserError(
                f"recurrent: expected one of {', '.join(KINDS)} and 1 layer or more, received {kind}, {layers}"
            )
        self.kind, self.hidden_size, self.bidirectional = kind, hidden_size, bidirectional
        self.width = hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [self.width] * (layers - 1)

        def layer(size: int) -> nn.Module:
            made = KINDS[kind](size, hidden_size, batch_first=True)
            return RecurrentDropout(made, recurrent_dropout) if recurrent_dropout else made

        self.forwards = nn.ModuleList(layer(size) for size in sizes)
        self.backwards = nn.ModuleList(layer(size) for size in sizes) if bidirectional else None
        self.dropout = SameMaskDropout(dropout) if dropout else None

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        for index, layer in enumerate(self.forwards):
            if index and self.dropout is not None:
                inputs = self.dropout(inputs)
            outputs = layer(inputs)[0]
            if self.backwards is not None:
                turned = self.backwards[index](reverse(inputs, mask))[0]
                outputs = torch.cat([outputs, reverse(turned, mask)], dim=2)
            inputs = outputs
        return inputs

    def continued(self, inputs: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """Goes on from the `state` that an earlier call ended with (None: from zeros): (outputs, the new state).

        The state is a flat list of tensors (1, B, m), one a layer, of an LSTM two.
        """
        if self.backwards is not None:
            raise UserError("a bidirectional network reads a sequence whole: it cannot go on from a state")
        step = 2 if self.kind == "lstm" else 1
        ended: list[Tensor] = []
        for index, layer in enumerate(self.forwards):
            if index and self.dropout is not None:
                inputs = self.dropout(inputs)
            begin = None if state is None else tuple(state[step * index : step * (index + 1)])
            inputs, end = layer(inputs, begin if begin is None or step == 2 else begin[0])
            ended += list(end) if step == 2 else [end]
        return inputs, ended


class RecurrentNetwork(nn.Module):
    """Ids (B, T) or numbers (B, T, F) -> (B, num_classes), from the last step that exists.

    Of a bidirectional network the last output of each direction is read: the first step of the one that runs backwards.
    """

    kind: Kind

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        embedding_size: int = 64,
        hidden_size: int = 64,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        masked: bool = True,
    ) -> None:
        super().__init__()
        self.front = Front(num_tokens, embedding_size, in_features, dropout, masked)
        self.body = Recurrent(
            self.kind, self.front.width, hidden_size, layers, bidirectional, dropout, recurrent_dropout
        )
        self.head = nn.Linear(self.body.width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        vectors, mask = self.front(inputs)
        outputs = self.body(vectors, mask)
        last = last_step(outputs, mask)
        if self.body.bidirectional:
            half = self.body.hidden_size
            exists = 1 if mask is None else mask[:, :1].to(outputs.dtype)
            last = torch.cat([last[:, :half], outputs[:, 0, half:] * exists], dim=1)
        return self.head(last)


class SimpleRNN(RecurrentNetwork):
    """Elman 1990."""

    kind = "simple"


class LSTM(RecurrentNetwork):
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000."""

    kind = "lstm"


class GRU(RecurrentNetwork):
    """Cho et al. 2014, the reset gate behind the product as in cuDNN."""

    kind = "gru"
