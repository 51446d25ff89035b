"""What counting alone can say of the next token: the baselines of language models.

Interpolated n-grams with Witten and Bell's weights (Chen and Goodman 1998): after a context h that T(h) kinds of tokens followed,

    p(w | h) = (count(h, w) + T(h) p(w | h without its first token)) / (count(h) + T(h))

down to 1 / kinds where there is no context: every token has a probability above 0, and nothing has to be tuned.
"""

from __future__ import annotations

import numpy as np


def ngram_nats(train: np.ndarray, test: np.ndarray, kinds: int, order: int) -> list[np.ndarray]:
    """-log p of every token of `test` (N,) by the counts of `train`: uniform, then of n-grams of 1, 2, ... `order` tokens.

    The first tokens of `test` have no context within it: their contexts end at its begin.
    """
    joined = np.concatenate([train, [-1], test]).astype(np.int64) + 1  # 0 between the two: no token of either
    trained, place = np.arange(len(joined)) < len(train), len(train) + 1
    probability = np.full(len(test), 1.0 / kinds)
    found = [-np.log(probability)]
    context = np.zeros(len(joined), dtype=np.int64)  # of each token: the number of what stands before it, of this order
    for _ in range(order):
        pairs = context * (int(joined.max()) + 1) + joined
        grams, gram = np.unique(pairs, return_inverse=True)
        times = np.bincount(gram[trained], minlength=len(grams))
        contexts = int(context.max()) + 1
        context_of = np.zeros(len(grams), dtype=np.int64)
        context_of[gram] = context
        followed = np.bincount(context_of, weights=times > 0, minlength=contexts)
        seen = np.bincount(context[trained], minlength=contexts)
        mine, here = gram[place:], context[place:]
        total = seen[here] + followed[here]
        mixed = (times[mine] + followed[here] * probability) / np.maximum(total, 1)
        probability = np.where(total > 0, mixed, probability)
        found.append(-np.log(probability))
        context = np.concatenate([[0], gram[:-1] + 1])  # one token more of context, for the next order
    return found


def ngram_hits(train: np.ndarray, test: np.ndarray, order: int) -> np.ndarray:
    """(N,) whether each token of `test` is the one that followed its `order` - 1 (0 or 1) tokens before most often in `train`."""
    if order == 1:
        return test == np.bincount(train).argmax()
    size = int(max(train.max(), test.max())) + 1
    pairs, times = np.unique(train[:-1].astype(np.int64) * size + train[1:], return_counts=True)
    commonest = np.full(size, int(np.bincount(train).argmax()))
    rising = np.argsort(times, kind="stable")  # the last one written is the most frequent
    commonest[pairs[rising] // size] = pairs[rising] % size
    return np.concatenate([[False], test[1:] == commonest[test[:-1]]])
