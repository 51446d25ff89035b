"""Energies: restricted Boltzmann machines (Smolensky 1986; Hinton 2002) and Hopfield networks (1982).

D visible units, H hidden ones, N rows. `weight` (D, H), `visible_bias` (D,), `hidden_bias` (H,); units are 0 or 1, in a
Hopfield network -1 or 1. Sums over all states are exact, for machines of few units.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.sigmoids import sigmoid

Parameters = tuple[np.ndarray, np.ndarray, np.ndarray]  # weight, visible_bias, hidden_bias


def rbm_energy(
    visible: np.ndarray, hidden: np.ndarray, weight: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray
) -> np.ndarray:
    """E of visible (N, D) together with hidden (N, H): (N,)."""
    together = ((visible @ weight) * hidden).sum(axis=1)
    return -together - visible @ visible_bias - hidden @ hidden_bias


def rbm_energy_backward(visible: np.ndarray, hidden: np.ndarray) -> Parameters:
    """Of the mean energy, by weight, visible_bias and hidden_bias."""
    return -visible.T @ hidden / len(visible), -visible.mean(axis=0), -hidden.mean(axis=0)


def hidden_chances(visible: np.ndarray, weight: np.ndarray, hidden_bias: np.ndarray) -> np.ndarray:
    """p(h_j = 1 | v): (N, H). Given v the hidden units do not hang on each other."""
    return sigmoid(visible @ weight + hidden_bias)


def visible_chances(hidden: np.ndarray, weight: np.ndarray, visible_bias: np.ndarray) -> np.ndarray:
    """p(v_i = 1 | h): (N, D)."""
    return sigmoid(hidden @ weight.T + visible_bias)


def free_energy(
    visible: np.ndarray, weight: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray
) -> np.ndarray:
    """-log of the sum of exp(-E) over all 2^H hidden states, which is a product over the hidden units: (N,)."""
    return -visible @ visible_bias - np.logaddexp(0, visible @ weight + hidden_bias).sum(axis=1)


def free_energy_backward(visible: np.ndarray, weight: np.ndarray, hidden_bias: np.ndarray) -> Parameters:
    """Of the mean free energy, by weight, visible_bias and hidden_bias: the energy's, at the chances of the hidden units."""
    return rbm_energy_backward(visible, hidden_chances(visible, weight, hidden_bias))


def all_states(units: int) -> np.ndarray:
    """(2^units, units): every state of so many units that are 0 or 1. Raises `ValueError` above 20 units."""
    if units > 20:
        raise ValueError(f"{units} units have too many states to go through; at most 20")
    return (np.arange(2**units)[:, None] >> np.arange(units) & 1).astype(np.float64)


def log_partition(weight: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray) -> float:
    """log Z: the sum of exp(-E) over all states of the visible and the hidden units. The larger side is summed in closed form."""
    if weight.shape[0] > weight.shape[1]:
        weight, visible_bias, hidden_bias = weight.T, hidden_bias, visible_bias
    states = all_states(weight.shape[0])
    return float(np.logaddexp.reduce(-free_energy(states, weight, visible_bias, hidden_bias)))


def rbm_log_likelihood(
    visible: np.ndarray, weight: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray
) -> float:
    """The mean of log p(v) = -F(v) - log Z over the rows, in nats."""
    energies = free_energy(visible, weight, visible_bias, hidden_bias)
    return float(-energies.mean() - log_partition(weight, visible_bias, hidden_bias))


def rbm_log_likelihood_backward(
    visible: np.ndarray, weight: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray
) -> Parameters:
    """By weight, visible_bias and hidden_bias: what rows show less what the machine shows by itself, <v h>_data - <v h>_model."""
    states = all_states(len(weight))
    energies = free_energy(states, weight, visible_bias, hidden_bias)
    shares = np.exp(-energies - np.logaddexp.reduce(-energies))  # p(v) of every state
    hidden = hidden_chances(states, weight, hidden_bias)
    by_data = free_energy_backward(visible, weight, hidden_bias)
    expected = (states * shares[:, None]).T @ hidden, shares @ states, shares @ hidden
    return tuple(-one - other for one, other in zip(by_data, expected, strict=True))


def contrast(
    visible: np.ndarray,
    reached: np.ndarray,
    weight: np.ndarray,
    visible_bias: np.ndarray,
    hidden_bias: np.ndarray,
) -> float:
    """What contrastive divergence descends: mean F(rows) - mean F(ends of the chains), the ends held fixed."""
    energies = (free_energy(states, weight, visible_bias, hidden_bias) for states in (visible, reached))
    return float(next(energies).mean() - next(energies).mean())


def contrast_backward(
    visible: np.ndarray, reached: np.ndarray, weight: np.ndarray, hidden_bias: np.ndarray
) -> Parameters:
    """By weight, visible_bias and hidden_bias."""
    pairs = zip(*(free_energy_backward(states, weight, hidden_bias) for states in (visible, reached)), strict=True)
    return tuple(one - other for one, other in pairs)


def hopfield_weights(patterns: np.ndarray) -> np.ndarray:
    """Hebb's rule: patterns (P, n) of -1 and 1 -> (n, n), symmetric, no unit joined with itself."""
    weight = patterns.T @ patterns / patterns.shape[1]
    np.fill_diagonal(weight, 0)
    return weight


def hopfield_energy(states: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(N, n) states of -1 and 1 -> (N,). Asking one unit after the other never raises it."""
    return -0.5 * ((states @ weight) * states).sum(axis=1)


def hopfield_energy_backward(states: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Of each energy, by the states: minus what each unit hears. (N, n)"""
    return -states @ weight


def hopfield_recall(state: np.ndarray, weight: np.ndarray, random: np.random.Generator, sweeps: int = 20) -> np.ndarray:
    """(n,): where a state ends when one unit after the other, in random order, takes the sign of what it hears."""
    state = state.copy()
    for _ in range(sweeps):
        before = state.copy()
        for unit in random.permutation(len(state)):
            heard = weight[unit] @ state
            if heard != 0:
                state[unit] = np.sign(heard)
        if (state == before).all():
            break
    return state


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="energy of a restricted Boltzmann machine",
        function="energy.rbm_energy",
        backward="energy.rbm_energy_backward",
        formula=r"E(v,h)=-\sum_{ij}v_iw_{ij}h_j-\sum_ib_iv_i-\sum_jc_jh_j",
        derivative=r"\frac{\partial E}{\partial w_{ij}}=-v_ih_j",
        source="Smolensky 1986; Hinton 2002; *Plain Talk* §10.5",
        fast="gradus.models.generative.rbm.RBM",
        note="p(v, h) = exp(-E) / Z, and Z is the sum over all v and h. *Plain Talk* compares it with 1/N; and one of its "
        "exponents leaves w out.",
    ),
    Entry(
        name="free energy of a restricted Boltzmann machine",
        function="energy.free_energy",
        backward="energy.free_energy_backward",
        formula=r"F(v)=-\sum_ib_iv_i-\sum_j\ln(1+e^{c_j+\sum_iv_iw_{ij}})",
        derivative=r"\frac{\partial F}{\partial w_{ij}}=-v_i\,p(h_j=1|v)",
        source="Hinton 2010, eq. 23 to 25",
        fast="gradus.models.generative.rbm.RBM.free_energy",
        note="p(v) = exp(-F) / Z.",
    ),
    Entry(
        name="log-likelihood of a restricted Boltzmann machine",
        function="energy.rbm_log_likelihood",
        backward="energy.rbm_log_likelihood_backward",
        formula=r"L=\frac{1}{N}\sum_n\ln p(v^n)=-\frac{1}{N}\sum_nF(v^n)-\ln Z",
        derivative=r"\frac{\partial L}{\partial w_{ij}}=\langle v_ih_j\rangle_{data}-\langle v_ih_j\rangle_{model}",
        range=r"(-\infty,0]",
        source="Hinton 2002, eq. 4; *Plain Talk* §10.5",
        note="Exact for at most 20 visible units, or hidden ones.",
    ),
    Entry(
        name="contrastive divergence",
        function="energy.contrast",
        backward="energy.contrast_backward",
        formula=r"C=\frac{1}{N}\sum_n[F(v^n)-F(\tilde{v}^n)]",
        derivative=r"\frac{\partial C}{\partial w_{ij}}=-\langle v_ih_j\rangle_{data}+\langle v_ih_j\rangle_{chain}",
        source="Hinton 2002; Tieleman 2008; *Plain Talk* §10.5",
        fast="gradus.models.generative.machine.Machine",
        note="The chain's end is held fixed. Its slope is an approximate one of -L; its value is no measure of learning. "
        "*Plain Talk* calls it the loss function.",
    ),
    Entry(
        name="energy of a Hopfield network",
        function="energy.hopfield_energy",
        backward="energy.hopfield_energy_backward",
        formula=r"E(s)=-\frac{1}{2}\sum_{ij}s_iw_{ij}s_j",
        derivative=r"\frac{\partial E}{\partial s_i}=-\sum_jw_{ij}s_j",
        source="Hopfield 1982",
        note="Symmetric weights without a diagonal: then no step of one unit raises it.",
    ),
)
