"""Hidden Markov models (Baum and Petrie 1966; Rabiner 1989), in log space, so that long sequences do not underflow.

A hidden state follows the state before it, and each state shows one of K symbols. S states, K symbols, T steps, B sequences.
Observations and states are int arrays (..., T) of indices: one sequence (T,), or several (B, T) of which `lengths` (B,) says
how many steps of each exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradus.reference.catalogue import Entry


@dataclass(frozen=True)
class HiddenMarkov:
    """initial (S,): p(first state); transition (S, S): p(next state, in columns | state); emission (S, K): p(symbol | state)."""

    initial: np.ndarray
    transition: np.ndarray
    emission: np.ndarray

    def __post_init__(self) -> None:
        states = len(self.initial)
        if self.transition.shape != (states, states) or len(self.emission) != states:
            raise ValueError(
                f"{self.initial.shape}, {self.transition.shape}, {self.emission.shape} do not fit together"
            )
        for name in ("initial", "transition", "emission"):
            shares = getattr(self, name)
            if (shares < 0).any() or not np.allclose(shares.sum(axis=-1), 1):
                raise ValueError(f"the rows of {name} are to be probabilities that add up to 1")


def _log(shares: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # what cannot happen is -inf
        return np.log(shares)


def _exist(observations: np.ndarray, lengths: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """(..., T): which steps there are."""
    steps = np.arange(observations.shape[-1])
    if lengths is None:
        return np.ones(observations.shape, dtype=bool)
    return steps < np.asarray(lengths)[..., None]


def sample(model: HiddenMarkov, steps: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(states (T,), observations (T,)): each step chooses a state after the one before, then a symbol of that state."""
    states = np.empty(steps, dtype=np.int64)
    observations = np.empty(steps, dtype=np.int64)
    chances = model.initial
    for step in range(steps):
        states[step] = random.choice(len(chances), p=chances)
        observations[step] = random.choice(model.emission.shape[1], p=model.emission[states[step]])
        chances = model.transition[states[step]]
    return states, observations


def path_log_probability(model: HiddenMarkov, states: np.ndarray, observations: np.ndarray) -> float:
    """log p(states, observations) of one sequence (T,)."""
    total = _log(model.initial)[states[0]] + _log(model.emission)[states, observations].sum()
    return float(total + _log(model.transition)[states[:-1], states[1:]].sum())


def forward_variables(
    model: HiddenMarkov, observations: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """log p(observations up to t, state at t): (..., T, S). Behind the end of a sequence its last values stand on."""
    shown, moves = _log(model.emission.T)[observations], _log(model.transition)
    exist = _exist(observations, lengths)
    alpha = np.empty(shown.shape)
    alpha[..., 0, :] = _log(model.initial) + shown[..., 0, :]
    for step in range(1, observations.shape[-1]):
        reached = np.logaddexp.reduce(alpha[..., step - 1, :, None] + moves, axis=-2) + shown[..., step, :]
        alpha[..., step, :] = np.where(exist[..., step, None], reached, alpha[..., step - 1, :])
    return alpha


def backward_variables(
    model: HiddenMarkov, observations: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """log p(observations after t | state at t): (..., T, S), 0 from the last step on."""
    shown, moves = _log(model.emission.T)[observations], _log(model.transition)
    exist = _exist(observations, lengths)
    beta = np.zeros(shown.shape)
    for step in range(observations.shape[-1] - 2, -1, -1):
        ahead = (shown[..., step + 1, :] + beta[..., step + 1, :])[..., None, :]
        beta[..., step, :] = np.where(exist[..., step + 1, None], np.logaddexp.reduce(moves + ahead, axis=-1), 0.0)
    return beta


def log_likelihood(
    model: HiddenMarkov, observations: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """log p(observations), over all S^T paths: (...)."""
    return np.logaddexp.reduce(forward_variables(model, observations, lengths)[..., -1, :], axis=-1)


def posteriors(
    model: HiddenMarkov, observations: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """p(state at t | all observations): (..., T, S); 0 behind the end of a sequence."""
    alpha = forward_variables(model, observations, lengths)
    total = np.logaddexp.reduce(alpha[..., -1, :], axis=-1)
    shares = np.exp(alpha + backward_variables(model, observations, lengths) - total[..., None, None])
    return shares * _exist(observations, lengths)[..., None]


def viterbi(
    model: HiddenMarkov, observations: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(the likeliest path of states (..., T), its log-probability (...)); -1 behind the end of a sequence.

    The likeliest path is not the row of each step's likeliest state: that one may take moves that do not exist.
    """
    shown, moves = _log(model.emission.T)[observations], _log(model.transition)
    exist = _exist(observations, lengths)
    best = _log(model.initial) + shown[..., 0, :]
    came_from = np.zeros(shown.shape, dtype=np.int64)
    for step in range(1, observations.shape[-1]):
        ways = best[..., :, None] + moves
        reached = ways.max(axis=-2) + shown[..., step, :]
        stay = np.arange(len(model.initial))
        came_from[..., step, :] = np.where(exist[..., step, None], ways.argmax(axis=-2), stay)
        best = np.where(exist[..., step, None], reached, best)
    path = np.empty(observations.shape, dtype=np.int64)
    path[..., -1] = best.argmax(axis=-1)
    for step in range(observations.shape[-1] - 1, 0, -1):
        path[..., step - 1] = np.take_along_axis(came_from[..., step, :], path[..., step, None], axis=-1)[..., 0]
    return np.where(exist, path, -1), best.max(axis=-1)


def next_chances(model: HiddenMarkov, state: int) -> tuple[np.ndarray, np.ndarray]:
    """(p(next state), p(next symbol)) after a known state."""
    return model.transition[state], model.transition[state] @ model.emission


def previous_chances(model: HiddenMarkov, state: int, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(p(state before), p(symbol before)) of a known state, by Bayes' rule. before (S,): how the state before is spread where
    nothing is known, such as `stationary`."""
    shares = before * model.transition[:, state]
    shares = shares / shares.sum()
    return shares, shares @ model.emission


def stationary(model: HiddenMarkov) -> np.ndarray:
    """(S,) the shares of the states after a long time: they are the same a step later."""
    size = len(model.initial)
    system = np.concatenate([model.transition.T - np.eye(size), np.ones((1, size))])
    return np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0]


def count_model(
    states: Sequence[np.ndarray],
    observations: Sequence[np.ndarray],
    num_states: int,
    num_symbols: int,
    smoothing: float = 0.0,
) -> HiddenMarkov:
    """The model of sequences whose states are known: supervised learning, by counting; the maximum of the likelihood.

    smoothing: is added to every count (Laplace: 1). Of a state that never occurs, all chances are equal.

    *Plain Talk* §8.1 calls this unsupervised. It is not: the states are given. `baum_welch` learns without them.
    """
    initial = np.full(num_states, smoothing)
    transition = np.full((num_states, num_states), smoothing)
    emission = np.full((num_states, num_symbols), smoothing)
    for path, shown in zip(states, observations, strict=True):
        if len(path):
            initial[path[0]] += 1
        np.add.at(transition, (path[:-1], path[1:]), 1)
        np.add.at(emission, (path, shown), 1)
    return HiddenMarkov(_shares(initial), _shares(transition), _shares(emission))


def _shares(counts: np.ndarray) -> np.ndarray:
    totals = counts.sum(axis=-1, keepdims=True)
    return np.where(totals > 0, counts / np.where(totals > 0, totals, 1), 1 / counts.shape[-1])


def baum_welch_step(
    model: HiddenMarkov, observations: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
) -> tuple[HiddenMarkov, float]:
    """(the model after one step, the log-likelihood before it). Counts as `count_model` does, each path by its probability."""
    observations = np.atleast_2d(observations)
    alpha = forward_variables(model, observations, lengths)
    beta = backward_variables(model, observations, lengths)
    exist = _exist(observations, lengths)
    total = np.logaddexp.reduce(alpha[:, -1], axis=-1)
    shares = np.exp(alpha + beta - total[:, None, None]) * exist[..., None]
    ahead = _log(model.emission.T)[observations[:, 1:]] + beta[:, 1:] - total[:, None, None]
    moves = np.exp(alpha[:, :-1, :, None] + _log(model.transition) + ahead[:, :, None, :])
    moves = (moves * exist[:, 1:, None, None]).sum(axis=(0, 1))
    emission = np.zeros(model.emission.shape)
    np.add.at(emission.T, observations, shares)
    return HiddenMarkov(_shares(shares[:, 0].sum(axis=0)), _shares(moves), _shares(emission)), float(total.sum())


def baum_welch(
    model: HiddenMarkov,
    observations: np.ndarray,
    lengths: Sequence[int] | np.ndarray | None = None,
    steps: int = 100,
    tolerance: float = 1e-6,
) -> tuple[HiddenMarkov, list[float]]:
    """(the model learnt without states, the log-likelihood before each step and at the end), beginning with `model`.

    Expectation maximisation: the likelihood never falls, and ends in a maximum near the begin, which need not be the highest.
    It ends after `steps`, or where a step gains less than `tolerance` an observed symbol.
    """
    counted = _exist(np.atleast_2d(observations), lengths).sum()
    history: list[float] = []
    for _ in range(steps):
        better, before = baum_welch_step(model, observations, lengths)
        history.append(before)
        if len(history) > 1 and before - history[-2] < tolerance * counted:
            return model, history
        model = better
    return model, [*history, float(np.sum(log_likelihood(model, observations, lengths)))]


def random_model(num_states: int, num_symbols: int, random: np.random.Generator) -> HiddenMarkov:
    """Chances drawn evenly from all that add up to 1."""
    return HiddenMarkov(
        random.dirichlet(np.ones(num_states)),
        random.dirichlet(np.ones(num_states), num_states),
        random.dirichlet(np.ones(num_symbols), num_states),
    )


def learn_without_states(
    observations: np.ndarray,
    num_states: int,
    num_symbols: int,
    random: np.random.Generator,
    lengths: Sequence[int] | np.ndarray | None = None,
    restarts: int = 10,
    steps: int = 100,
) -> HiddenMarkov:
    """The likeliest of several models that Baum-Welch found from random begins. Its states come in any order: without labels
    nothing says which is which."""
    found = [
        baum_welch(random_model(num_states, num_symbols, random), observations, lengths, steps) for _ in range(restarts)
    ]
    return max(found, key=lambda one: one[1][-1])[0]


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="likelihood of a hidden Markov model",
        function="hmm.log_likelihood",
        formula=r"\alpha_t(j) = b_j(o_t) \sum_i \alpha_{t-1}(i)\, a_{ij}, \quad p(o) = \sum_j \alpha_T(j)",
        range=r"[-\infty, 0] \text{ as a logarithm}",
        source="Rabiner 1989, eq. 18 to 21; Plain Talk §8.1",
        note="The forward algorithm: T·S² products in the place of S^T paths.",
    ),
    Entry(
        name="state posteriors of a hidden Markov model",
        function="hmm.posteriors",
        formula=r"\gamma_t(i) = \frac{\alpha_t(i)\, \beta_t(i)}{p(o)}",
        range="[0, 1]",
        source="Rabiner 1989, eq. 23 to 27",
    ),
    Entry(
        name="Viterbi path",
        function="hmm.viterbi",
        formula=r"\delta_t(j) = b_j(o_t) \max_i \delta_{t-1}(i)\, a_{ij}",
        source="Viterbi 1967; Rabiner 1989, eq. 30 to 35",
        note="The likeliest path need not consist of each step's likeliest state.",
    ),
    Entry(
        name="Baum-Welch step",
        function="hmm.baum_welch_step",
        formula=r"a_{ij} \leftarrow \frac{\sum_t \xi_t(i, j)}{\sum_{t<T} \gamma_t(i)}, \quad "
        r"b_j(k) \leftarrow \frac{\sum_{t:\, o_t = k} \gamma_t(j)}{\sum_t \gamma_t(j)}",
        source="Baum et al. 1970; Rabiner 1989, eq. 37 to 40",
        note="Learns without states. Plain Talk §8.1 calls counting of known states unsupervised; that is supervised.",
    ),
)
