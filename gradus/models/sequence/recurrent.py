"""Recurrent networks: simple, LSTM and GRU, stacked and in both directions, for texts and series.

`lstm` with embedding_size=32, hidden_size=32 on 10 000 ids and one output is the 328 353-parameter network of *Deep Learning
with Python*, listing 6-27, and one bias more a gate: PyTorch's fused cells add two, Keras has one. They compute the same; m
parameters more of a simple network, 4 m of an LSTM. A GRU has two in Keras as well (reset_after).

Recurrent weights begin orthogonal, a matrix a gate, biases 0 and that of the forget gate 1 (Saxe et al. 2014, Jozefowicz et
al. 2015; Keras does much the same): a state of 500 steps ago is heard from the first update on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gradus.errors import UserError, unknown_name
from gradus.models.sequence.front import Front, last_step, reverse
from gradus.nn import PeepholeLSTM, RecurrentDropout, ResetBeforeGRU, SameMaskDropout

Kind = Literal["simple", "lstm", "gru", "peephole_lstm", "reset_before_gru"]
KINDS: dict[str, Callable[[int, int], nn.Module]] = {
    "simple": partial(nn.RNN, batch_first=True),
    "lstm": partial(nn.LSTM, batch_first=True),
    "gru": partial(nn.GRU, batch_first=True),
    "peephole_lstm": PeepholeLSTM,  # these two are loops in Python: ten times slower and more
    "reset_before_gru": ResetBeforeGRU,
}


def begin_weights(layer: nn.Module) -> None:
    """Orthogonal recurrent weights, biases of 0, the forget gate's of 1."""
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.split(parameter.shape[1]):
                    nn.init.orthogonal_(gate)
            elif name.startswith("bias"):
                nn.init.zeros_(parameter)
                if isinstance(layer, nn.LSTM) and name.startswith("bias_ih"):
                    parameter[layer.hidden_size : 2 * layer.hidden_size] = 1


class Recurrent(nn.Module):
    """A stack of recurrent layers: vectors (B, T, n) and a mask (B, T) -> (B, T, `width`). What lies behind the end of a row
    changes nothing in it, in either direction.

    hidden_size:       units of each layer; several: of each layer in turn, from the input on
    dropout:           before every layer but the first, and
    recurrent_dropout: on the hidden state from step to step. Both with one mask for all steps (Gal and Ghahramani 2016); the
                       state's is one for the whole batch, which the fused layers can do (`gradus.nn.RecurrentDropout`)
    """

    def __init__(
        self,
        kind: Kind,
        input_size: int,
        hidden_size: int | Sequence[int],
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise unknown_name("kind of recurrent layer", str(kind), KINDS)
        if recurrent_dropout and kind in ("peephole_lstm", "reset_before_gru"):
            raise UserError(f"recurrent_dropout: {kind} has none; simple, lstm and gru have")
        widths = [hidden_size] * layers if isinstance(hidden_size, int) else list(hidden_size)
        if not widths or layers not in (1, len(widths)) or min(widths) < 1:
            raise UserError(f"recurrent: {layers} layers of {hidden_size} units cannot be made")
        self.kind, self.bidirectional = kind, bidirectional
        self.hidden_size = widths[-1]
        directions = 2 if bidirectional else 1
        self.width = self.hidden_size * directions
        sizes = [input_size, *(directions * width for width in widths)]

        def layer(size: int, width: int) -> nn.Module:
            made: Any = KINDS[kind](size, width)
            if isinstance(made, nn.RNNBase):
                begin_weights(made)
            return RecurrentDropout(made, recurrent=recurrent_dropout) if recurrent_dropout else made

        def direction() -> nn.ModuleList:
            return nn.ModuleList(layer(size, width) for size, width in zip(sizes[:-1], widths, strict=True))

        self.forwards = direction()
        self.backwards = direction() if bidirectional else None
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
        step = 2 if self.kind.endswith("lstm") else 1
        ended: list[Tensor] = []
        for index, layer in enumerate(self.forwards):
            if index and self.dropout is not None:
                inputs = self.dropout(inputs)
            begin = None if state is None else tuple(state[step * index : step * (index + 1)])
            inputs, end = layer(inputs, begin if begin is None or step == 2 else begin[0])
            ended += list(end) if step == 2 else [end]
        return inputs, ended


def ends_of(outputs: Tensor, mask: Tensor | None, body: Recurrent) -> Tensor:
    """(B, T, width) -> (B, width): what each direction ended with. The one that runs backwards ends at the first step."""
    last = last_step(outputs, mask)
    if not body.bidirectional:
        return last
    exists = 1 if mask is None else mask[:, :1].to(outputs.dtype)
    return torch.cat([last[:, : body.hidden_size], outputs[:, 0, body.hidden_size :] * exists], dim=1)


class RecurrentNetwork(nn.Module):
    """Ids (B, T) or numbers (B, T, F) -> (B, num_classes), from the last step that exists.

    Of a bidirectional network the last output of each direction is read: the first step of the one that runs backwards.
    reversed: reads the sequence from its end to its beginning
    """

    kind: Kind

    def __init__(
        self,
        num_classes: int = 2,
        num_tokens: int | None = None,
        in_features: int | None = None,
        embedding_size: int = 64,
        hidden_size: int | Sequence[int] = 64,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        masked: bool = True,
        reversed: bool = False,
    ) -> None:
        super().__init__()
        self.reversed = reversed
        self.front = Front(num_tokens, embedding_size, in_features, dropout, masked)
        self.body = Recurrent(
            self.kind, self.front.width, hidden_size, layers, bidirectional, dropout, recurrent_dropout
        )
        self.head = nn.Linear(self.body.width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        vectors, mask = self.front(inputs)
        outputs = self.body(reverse(vectors, mask) if self.reversed else vectors, mask)
        return self.head(ends_of(outputs, mask, self.body))


class SimpleRNN(RecurrentNetwork):
    """Elman 1990."""

    kind = "simple"


class LSTM(RecurrentNetwork):
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000."""

    kind = "lstm"


class GRU(RecurrentNetwork):
    """Cho et al. 2014, the reset gate behind the product as in cuDNN."""

    kind = "gru"


class PeepholeNetwork(RecurrentNetwork):
    """Gers and Schmidhuber 2000: an LSTM whose gates see the cell."""

    kind = "peephole_lstm"


class ResetBeforeNetwork(RecurrentNetwork):
    """Cho et al. 2014 and Keras until 2018: a GRU whose reset gate stands before the product."""

    kind = "reset_before_gru"
