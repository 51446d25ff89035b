"""Back-propagation as the four equations, for layers a^l = f(W^l a^(l-1) + b^l): *Principles and Practice* §2.3.3, table 2-1.

As in the books, samples are columns and a weight is (out, in); everywhere else in this package samples are rows. With z^l =
W^l a^(l-1) + b^l, the error of a layer delta^l = dL/dz^l, * elementwise:

    BP1  delta^L = dL/da^L * f'(z^L)                    the error of the last layer L
    BP2  delta^l = (W^(l+1))^T delta^(l+1) * f'(z^l)    the error of a layer from the one above it
    BP3  dL/db_i^l = delta_i^l
    BP4  dL/dW_ij^l = delta_i^l a_j^(l-1)               W_ij leads from j in layer l-1 to i in layer l

The loss is half the sum of squares, L = sum (a^L - y)^2 / 2 over outputs and samples, so that dL/da^L = a^L - y.

What the texts have wrong. *Principles and Practice*: BP2 stands with W^(l+1) in the table and W^l in eq. 2-19, whose product
is delta^(l+1) (W^l)^T besides, which does not fit columns; the sentence on BP4 swaps i and j; the algorithm's last step
"outputs the biases of the loss" for its partial derivatives; listing 2-1 writes the sigmoid as 1./1.+exp(-x), which is 1 +
exp(-x); eq. 2-7 transposes W, the listings do not. *Plain Talk* §4.3 leaves the factor y_o - y out of all four derivatives,
which are then those of the sum of y_o - y.

BP4 says why a weight learns slowly whose input is small: a_j^(l-1) is a factor of its derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.sigmoids import sigmoid, sigmoid_derivative

Arrays = list[np.ndarray]


def initial_network(sizes: Sequence[int], generator: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Weights (out, in) and biases (out, 1) from the standard normal distribution. sizes: such as [3, 4, 2] (listing 2-2)."""
    weights = [generator.normal(size=(above, below)) for below, above in pairwise(sizes)]
    biases = [generator.normal(size=(width, 1)) for width in sizes[1:]]
    return weights, biases


def feed_forward(
    inputs: np.ndarray, weights: Arrays, biases: Arrays, activation: Callable[[np.ndarray], np.ndarray] = sigmoid
) -> tuple[Arrays, Arrays]:
    """The sums z^1 ... z^L and the activations a^0 ... a^L (a^0 = the inputs): eq. 2-6, listing 2-1.

    inputs (sizes[0], samples)
    """
    sums, activations = [], [inputs]
    for weight, bias in zip(weights, biases, strict=True):
        sums.append(weight @ activations[-1] + bias)
        activations.append(activation(sums[-1]))
    return sums, activations


def squared_error(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Half the sum of squares, over outputs and samples."""
    return float(((outputs - targets) ** 2).sum() / 2)


def backpropagate(
    inputs: np.ndarray,
    targets: np.ndarray,
    weights: Arrays,
    biases: Arrays,
    activation: Callable[[np.ndarray], np.ndarray] = sigmoid,
    derivative: Callable[[np.ndarray], np.ndarray] = sigmoid_derivative,
) -> tuple[Arrays, Arrays]:
    """The derivatives of `squared_error` by the weights and by the biases, each as a list of layers (listing 2-4).

    inputs (sizes[0], samples), targets (sizes[-1], samples). Samples are summed, not averaged.
    """
    sums, activations = feed_forward(inputs, weights, biases, activation)
    errors = [(activations[-1] - targets) * derivative(sums[-1])]  # BP1
    for layer in range(len(weights) - 2, -1, -1):
        errors.insert(0, weights[layer + 1].T @ errors[0] * derivative(sums[layer]))  # BP2
    by_biases = [error.sum(axis=1, keepdims=True) for error in errors]  # BP3
    by_weights = [error @ below.T for error, below in zip(errors, activations[:-1], strict=True)]  # BP4
    return by_weights, by_biases


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="back-propagation",
        function="backpropagation.feed_forward",
        backward="backpropagation.backpropagate",
        formula=r"a^l = f(z^l), \quad z^l = W^l a^{l-1} + b^l",
        derivative=r"\delta^L = \nabla_{a} L \odot f'(z^L), \quad \delta^l = (W^{l+1})^T \delta^{l+1} \odot f'(z^l), \quad "
        r"\frac{\partial L}{\partial b_i^l} = \delta_i^l, \quad \frac{\partial L}{\partial W_{ij}^l} = \delta_i^l a_j^{l-1}",
        fast="torch.autograd",
        source="Rumelhart, Hinton and Williams 1986; *Principles and Practice* §2.3.3 (table 2-1), *Plain Talk* §4.3",
        note="*Principles and Practice* prints BP2 in two forms that disagree; *Plain Talk* leaves the residual out.",
    ),
)
