"""Losses over a vocabulary that is too large for a softmax, and the one that fits word vectors to counts.

Shapes: N examples, d numbers a vector, V words, S sampled words, k negatives an example. `hidden` (N, d) is what the network
says of the context; `weight` (V, d) has one row a word, `bias` (V,).
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry
from gradus.reference.sigmoids import sigmoid

Gradients = tuple[np.ndarray, ...]


def log_sigmoid(inputs: np.ndarray) -> np.ndarray:
    """-log(1 + exp(-x))."""
    return -np.logaddexp(0, -inputs)


def log_uniform(size: int) -> np.ndarray:
    """P(k) = log((k + 2) / (k + 1)) / log(V + 1): about 1/k, for words sorted from frequent to rare (TensorFlow's sampler)."""
    ranks = np.arange(size)
    return np.log((ranks + 2) / (ranks + 1)) / np.log(size + 1)


def unigram_noise(counts: np.ndarray, power: float = 0.75) -> np.ndarray:
    """P(w) = count^0.75 / sum (Mikolov et al. 2013b, §2.2): between the frequencies (power 1) and all alike (power 0)."""
    weights = np.asarray(counts, dtype=float) ** power
    return weights / weights.sum()


def expected_counts(probabilities: np.ndarray, draws: int, unique: bool = False) -> np.ndarray:
    """How often each word is expected among `draws`: draws * P, or with repetitions thrown away 1 - (1 - P)^draws."""
    return -np.expm1(draws * np.log1p(-probabilities)) if unique else draws * probabilities


def _sampled_scores(
    hidden: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    targets: np.ndarray,
    sampled: np.ndarray,
    log_expected: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 1 + S) scores, the target first, and the words they are of."""
    words = np.concatenate([targets[:, None], np.broadcast_to(sampled, (len(targets), len(sampled)))], axis=1)
    scores = np.einsum("nd,nsd->ns", hidden, weight[words]) + bias[words] - log_expected[words]
    scores[:, 1:][words[:, 1:] == targets[:, None]] = -np.inf  # "accidental hits": the target is not its own rival
    return scores, words


def sampled_softmax(
    hidden: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    targets: np.ndarray,
    sampled: np.ndarray,
    log_expected: np.ndarray,
) -> float:
    """Mean cross-entropy of a softmax over the target and the sampled words only (Jean et al. 2015, §3).

    targets (N,), sampled (S,) words for the whole batch, log_expected (V,) the log of how often each word is expected in the
    sample. It is subtracted from the score: a word that is drawn often speaks for itself alone, a rare one for all that were not
    drawn; in expectation the sampled sum of exp(score) is the whole sum. To train with: evaluate with the whole softmax.
    """
    scores, _ = _sampled_scores(hidden, weight, bias, targets, sampled, log_expected)
    largest = scores.max(axis=1)
    return float((largest + np.log(np.exp(scores - largest[:, None]).sum(axis=1)) - scores[:, 0]).mean())


def sampled_softmax_backward(
    hidden: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    targets: np.ndarray,
    sampled: np.ndarray,
    log_expected: np.ndarray,
) -> Gradients:
    """By (hidden, weight, bias). Only the rows of targets and sampled words are not 0."""
    scores, words = _sampled_scores(hidden, weight, bias, targets, sampled, log_expected)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    by_scores = exponentials / exponentials.sum(axis=1, keepdims=True)
    by_scores[:, 0] -= 1
    return _by_words(hidden, weight, words, by_scores / len(targets))


def _by_words(hidden: np.ndarray, weight: np.ndarray, words: np.ndarray, by_scores: np.ndarray) -> Gradients:
    """From the scores hidden . weight[word] + bias[word] to (hidden, weight, bias); repeated words add up."""
    by_weight, by_bias = np.zeros_like(weight), np.zeros(len(weight))
    np.add.at(by_weight, words, by_scores[..., None] * hidden[:, None])
    np.add.at(by_bias, words, by_scores)
    return np.einsum("ns,nsd->nd", by_scores, weight[words]), by_weight, by_bias


def noise_contrastive(
    hidden: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    targets: np.ndarray,
    negatives: np.ndarray,
    log_expected: np.ndarray,
) -> float:
    """Mean over examples of the logistic losses that tell the target from k words of noise (Mnih and Teh 2012).

    targets (N,), negatives (N, k), log_expected (V,) = log(k P(w)). With it, exp(score) learns to be a probability.
    """
    words = np.concatenate([targets[:, None], negatives], axis=1)
    scores = np.einsum("nd,nsd->ns", hidden, weight[words]) + bias[words] - log_expected[words]
    return float(-(log_sigmoid(scores[:, 0]) + log_sigmoid(-scores[:, 1:]).sum(axis=1)).mean())


def noise_contrastive_backward(
    hidden: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    targets: np.ndarray,
    negatives: np.ndarray,
    log_expected: np.ndarray,
) -> Gradients:
    """By (hidden, weight, bias): k + 1 logistic units, each sigmoid(score) - label."""
    words = np.concatenate([targets[:, None], negatives], axis=1)
    scores = np.einsum("nd,nsd->ns", hidden, weight[words]) + bias[words] - log_expected[words]
    by_scores = sigmoid(scores)
    by_scores[:, 0] -= 1
    return _by_words(hidden, weight, words, by_scores / len(targets))


def negative_sampling(hidden: np.ndarray, weight: np.ndarray, targets: np.ndarray, negatives: np.ndarray) -> float:
    """Mean of -log sigmoid(u_o . v) - sum_k log sigmoid(-u_k . v) (Mikolov et al. 2013b, eq. 4).

    hidden (N, d) are the vectors of the centre words, weight (V, d) those of words as contexts. Noise-contrastive estimation
    without biases and without the correction: its scores are no log-probabilities (they learn the pointwise mutual
    information less log k), but its vectors are good. k = 5 to 20 for small data, 2 to 5 for large.
    """
    zeros = np.zeros(len(weight))
    return noise_contrastive(hidden, weight, zeros, targets, negatives, zeros)


def negative_sampling_backward(
    hidden: np.ndarray, weight: np.ndarray, targets: np.ndarray, negatives: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """By (hidden, weight)."""
    zeros = np.zeros(len(weight))
    by_hidden, by_weight, _ = noise_contrastive_backward(hidden, weight, zeros, targets, negatives, zeros)
    return by_hidden, by_weight


def glove_weight(counts: np.ndarray, largest: float = 100.0, power: float = 0.75) -> np.ndarray:
    """f(x) = (x / x_max)^0.75, at most 1 (Pennington et al. 2014, eq. 9). f(0) = 0, which is what lets log 0 be left out."""
    return np.minimum(1.0, (np.asarray(counts, dtype=float) / largest) ** power)


def _glove_errors(
    words: np.ndarray, contexts: np.ndarray, word_bias: np.ndarray, context_bias: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    seen = counts > 0
    logs = np.log(np.where(seen, counts, 1))
    return np.where(seen, words @ contexts.T + word_bias[:, None] + context_bias - logs, 0)


def glove(
    words: np.ndarray,
    contexts: np.ndarray,
    word_bias: np.ndarray,
    context_bias: np.ndarray,
    counts: np.ndarray,
    largest: float = 100.0,
    power: float = 0.75,
) -> float:
    """sum_ij f(X_ij) (w_i . c_j + b_i + b'_j - log X_ij)^2 (Pennington et al. 2014, eq. 8). counts (V, V) of co-occurrence.

    words and contexts play the same part, so their sum (or mean) is the vector in the end. The published program halves the sum.
    """
    errors = _glove_errors(words, contexts, word_bias, context_bias, counts)
    return float((glove_weight(counts, largest, power) * errors**2).sum())


def glove_backward(
    words: np.ndarray,
    contexts: np.ndarray,
    word_bias: np.ndarray,
    context_bias: np.ndarray,
    counts: np.ndarray,
    largest: float = 100.0,
    power: float = 0.75,
) -> Gradients:
    """By (words, contexts, word_bias, context_bias)."""
    errors = _glove_errors(words, contexts, word_bias, context_bias, counts)
    slopes = 2 * glove_weight(counts, largest, power) * errors
    return slopes @ contexts, slopes.T @ words, slopes.sum(axis=1), slopes.sum(axis=0)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="sampled softmax",
        function="word_losses.sampled_softmax",
        backward="word_losses.sampled_softmax_backward",
        formula=(
            r"L = -\log \frac{e^{s_t - \log Q_t}}{e^{s_t - \log Q_t} + \sum_{j \in S,\, j \ne t} e^{s_j - \log Q_j}},"
            r" \quad Q_j = E[\text{count of } j]"
        ),
        derivative=r"\frac{\partial L}{\partial s_j} = p_j - [j = t]",
        range=r"[0, \infty)",
        fast="gradus.nn.sampled_softmax_loss",
        source="Jean et al. 2015, §3; Plain Talk §8.6",
        note="To train with; the whole softmax judges. Computed in float32 even where the network is not.",
    ),
    Entry(
        name="noise-contrastive estimation",
        function="word_losses.noise_contrastive",
        backward="word_losses.noise_contrastive_backward",
        formula=(r"L = -\log \sigma(s_t - \log k P_t) - \sum_{j=1}^{k} \log \sigma(-(s_j - \log k P_j))"),
        derivative=r"\frac{\partial L}{\partial s_j} = \sigma(s_j - \log k P_j) - [j = t]",
        range=r"[0, \infty)",
        source="Gutmann and Hyvarinen 2010; Mnih and Teh 2012",
    ),
    Entry(
        name="negative sampling",
        function="word_losses.negative_sampling",
        backward="word_losses.negative_sampling_backward",
        formula=r"L = -\log \sigma(u_o^\top v_c) - \sum_{j=1}^{k} \log \sigma(-u_j^\top v_c)",
        derivative=r"\frac{\partial L}{\partial v_c} = (\sigma(u_o^\top v_c) - 1) u_o + \sum_j \sigma(u_j^\top v_c) u_j",
        range=r"[0, \infty)",
        fast="gradus.nn.negative_sampling_loss",
        source="Mikolov et al. 2013b, eq. 4; course notes §5.2.6",
        note="Negatives are drawn from counts to the power 0.75.",
    ),
    Entry(
        name="GloVe",
        function="word_losses.glove",
        backward="word_losses.glove_backward",
        formula=(
            r"L = \sum_{i,j} f(X_{ij}) \left(w_i^\top c_j + b_i + b'_j - \log X_{ij}\right)^2, \quad"
            r" f(x) = \min\left(1, (x / x_{\max})^{0.75}\right)"
        ),
        derivative=r"\frac{\partial L}{\partial w_i} = 2 \sum_j f(X_{ij}) \epsilon_{ij} c_j",
        range=r"[0, \infty)",
        fast="gradus.nn.glove_loss",
        source="Pennington et al. 2014, eq. 8 and 9; course notes §5.2.7",
        note="f(0) = 0: pairs that never meet have no term.",
    ),
)
