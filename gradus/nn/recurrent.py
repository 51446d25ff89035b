"""Recurrent layers that PyTorch lacks. What is fused and what is a loop in Python is said at each.

Shapes: B sequences, T steps, n numbers in, m units; batch first. Like `torch.nn.LSTM(batch_first=True)` and `torch.nn.GRU` they
take (inputs, state) and return (outputs (B, T, m), state), the state (1, B, m) each, so that one can stand in the other's place.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


class PeepholeLSTM(nn.Module):
    """An LSTM whose gates see the cell (Gers and Schmidhuber 2000): input and forget gate the old one, output gate the new.

    4 m (n + m + 1) + 3 m parameters; gates in the order i, f, g, o. All products with the inputs are one product; over time it is
    a loop in Python, since no fused kernel has peepholes.
    forget_bias: what the forget gate's bias begins with.
    """

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.forget_bias = input_size, hidden_size, forget_bias
        self.input_weight = nn.Parameter(torch.empty(input_size, 4 * hidden_size))
        self.hidden_weight = nn.Parameter(torch.empty(hidden_size, 4 * hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))
        self.peepholes = nn.Parameter(torch.empty(3, hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(m), as `torch.nn.LSTM`; biases 0 but for the forget gate's."""
        bound = self.hidden_size**-0.5
        for weight in (self.input_weight, self.hidden_weight, self.peepholes):
            nn.init.uniform_(weight, -bound, bound)
        nn.init.zeros_(self.bias)
        with torch.no_grad():
            self.bias[self.hidden_size : 2 * self.hidden_size] = self.forget_bias

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        hidden, cell = (part[0] for part in state) if state is not None else _zeros(inputs, self.hidden_size, 2)
        outputs = []
        for given in (inputs @ self.input_weight + self.bias).unbind(1):
            first, second, third, fourth = (given + hidden @ self.hidden_weight).chunk(4, dim=1)
            kept = torch.sigmoid(second + self.peepholes[1] * cell) * cell
            cell = kept + torch.sigmoid(first + self.peepholes[0] * cell) * torch.tanh(third)
            hidden = torch.sigmoid(fourth + self.peepholes[2] * cell) * torch.tanh(cell)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), (hidden[None], cell[None])


class ResetBeforeGRU(nn.Module):
    """The GRU of Cho et al. 2014 and of Keras in 2017: n = tanh(x W + (r h) U + b), the reset gate before the product.

    3 m (n + m + 1) parameters; gates in the order r, z, n; h = z h' + (1 - z) n. `torch.nn.GRU` resets after the product; the
    two differ in what they compute, not only in the number of biases. A loop in Python over time: the product needs r first.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.input_weight = nn.Parameter(torch.empty(input_size, 3 * hidden_size))
        self.hidden_weight = nn.Parameter(torch.empty(hidden_size, 3 * hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(m), as `torch.nn.GRU`; biases 0."""
        bound = self.hidden_size**-0.5
        for weight in (self.input_weight, self.hidden_weight):
            nn.init.uniform_(weight, -bound, bound)
        nn.init.zeros_(self.bias)

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        (hidden,) = (state[0],) if state is not None else _zeros(inputs, self.hidden_size, 1)
        of_gates, of_candidate = self.hidden_weight.split([2 * self.hidden_size, self.hidden_size], dim=1)
        outputs = []
        for given in (inputs @ self.input_weight + self.bias).unbind(1):
            gates, candidate = given.split([2 * self.hidden_size, self.hidden_size], dim=1)
            reset, update = torch.sigmoid(gates + hidden @ of_gates).chunk(2, dim=1)
            new = torch.tanh(candidate + (reset * hidden) @ of_candidate)
            hidden = new + update * (hidden - new)
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), hidden[None]


def _zeros(inputs: Tensor, hidden_size: int, count: int) -> tuple[Tensor, ...]:
    return tuple(inputs.new_zeros(len(inputs), hidden_size) for _ in range(count))


class SameMaskDropout(nn.Module):
    """Dropout over (B, T, n) with one mask a sequence, the same at all steps (Gal and Ghahramani 2016). Nothing in
    evaluation. Before or behind any fused layer."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = _checked_rate(rate)

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return inputs
        return inputs * keep_mask(inputs, (len(inputs), 1, inputs.shape[2]), self.rate)


def _checked_rate(rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError(f"a dropout rate is at least 0 and under 1, not {rate}")
    return rate


def keep_mask(like: Tensor, shape: tuple[int, ...], rate: float) -> Tensor:
    """1/(1 - rate) with probability 1 - rate, else 0; of the device and type of `like`."""
    return like.new_empty(shape).bernoulli_(1 - rate).div_(1 - rate)


class RecurrentDropout(nn.Module):
    """Gal's dropout around a layer of PyTorch's: one mask for the inputs and one for the state that is fed back, both the
    same at all steps (*Deep Learning with Python* §6.3.6). A mask drawn anew at each step would garble what the state carries.

    layer:     `nn.RNN`, `nn.LSTM` or `nn.GRU` of one layer and one direction, batch_first=True. Its weights stay where they are
    dropout:   rate for the inputs, a mask (B, 1, n). Always fused
    recurrent: rate for the state h (never for an LSTM's cell)
    masks:     "batch":    one mask (m,) for the batch. It is folded into the recurrent weights, diag(mask) U: **fused**
               "sequence": one mask (B, m), a row a sequence, as Keras draws it: **a loop in Python**, in training only

    One mask for all gates (Gal's tied weights); Keras of 2017 drew one for each gate. The GRU's
    mask is on h where it is multiplied with weights, not on the h that the update gate keeps, as there. In evaluation, or with
    recurrent=0, the fused layer runs as it is. (Folded weights are a new tensor at each call, so cuDNN copies all weights into
    one block then, and PyTorch warns of it once.)
    """

    def __init__(
        self,
        layer: nn.RNN | nn.LSTM | nn.GRU,
        dropout: float = 0.0,
        recurrent: float = 0.0,
        masks: Literal["batch", "sequence"] = "batch",
    ) -> None:
        super().__init__()
        if layer.num_layers != 1 or layer.bidirectional or not layer.batch_first or layer.proj_size:
            raise ValueError(
                "RecurrentDropout takes one layer of one direction with batch_first=True and no projection"
            )
        if masks not in ("batch", "sequence"):
            raise ValueError(f'masks is "batch" or "sequence", not {masks!r}')
        self.layer, self.inputs = layer, SameMaskDropout(dropout)
        self.recurrent, self.masks = _checked_rate(recurrent), masks

    def forward(self, inputs: Tensor, state: Tensor | State | None = None) -> tuple[Tensor, Tensor | State]:
        inputs = self.inputs(inputs)
        if not self.training or self.recurrent == 0:
            return self.layer(inputs, state)
        if self.masks == "batch":
            return self._folded(inputs, state, keep_mask(inputs, (self.layer.hidden_size,), self.recurrent))
        return self._loop(inputs, state, keep_mask(inputs, (len(inputs), self.layer.hidden_size), self.recurrent))

    def _weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own = dict(self.layer.named_parameters())
        hidden_weight = own["weight_hh_l0"]
        zeros = hidden_weight.new_zeros(len(hidden_weight))
        return own["weight_ih_l0"], hidden_weight, own.get("bias_ih_l0", zeros), own.get("bias_hh_l0", zeros)

    def _folded(self, inputs: Tensor, state: Tensor | State | None, mask: Tensor) -> tuple[Tensor, Tensor | State]:
        """The fused kernel with the columns of the recurrent weights masked: U (h * mask) is (U * mask) h."""
        input_weight, hidden_weight, *biases = self._weights()
        weights = [input_weight, hidden_weight * mask, *biases]
        # biases, layers, dropout between layers, training, both directions, batch first
        options = (True, 1, 0.0, self.training, False, True)
        if isinstance(self.layer, nn.LSTM):
            begin = state if state is not None else [part[None] for part in _zeros(inputs, self.layer.hidden_size, 2)]
            outputs, hidden, cell = torch.lstm(inputs, list(begin), weights, *options)
            return outputs, (hidden, cell)
        first = state if isinstance(state, Tensor) else _zeros(inputs, self.layer.hidden_size, 1)[0][None]
        if isinstance(self.layer, nn.GRU):
            return torch.gru(inputs, first, weights, *options)
        function = torch.rnn_relu if self.layer.nonlinearity == "relu" else torch.rnn_tanh
        return function(inputs, first, weights, *options)

    def _loop(self, inputs: Tensor, state: Tensor | State | None, mask: Tensor) -> tuple[Tensor, Tensor | State]:
        input_weight, hidden_weight, input_bias, hidden_bias = self._weights()
        count = 2 if isinstance(self.layer, nn.LSTM) else 1
        begin = _zeros(inputs, self.layer.hidden_size, count)
        if state is not None:
            begin = tuple(part[0] for part in ((state,) if isinstance(state, Tensor) else state))
        hidden, cell = begin[0], begin[-1]
        outputs = []
        for given in (inputs @ input_weight.t() + input_bias).unbind(1):
            recalled = (hidden * mask) @ hidden_weight.t() + hidden_bias
            if isinstance(self.layer, nn.LSTM):
                i, f, g, o = (given + recalled).chunk(4, dim=1)
                cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
                hidden = torch.sigmoid(o) * torch.tanh(cell)
            elif isinstance(self.layer, nn.GRU):
                (r, z, n), (hr, hz, hn) = given.chunk(3, dim=1), recalled.chunk(3, dim=1)
                new = torch.tanh(n + torch.sigmoid(r + hr) * hn)
                hidden = new + torch.sigmoid(z + hz) * (hidden - new)
            else:
                hidden = (
                    torch.relu(given + recalled) if self.layer.nonlinearity == "relu" else torch.tanh(given + recalled)
                )
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), ((hidden[None], cell[None]) if count == 2 else hidden[None])
