"""Embeddings: a table of one vector a token, and the sum of what repeated tokens say about it.

Shapes: B sequences of T token ids, V tokens in the vocabulary, n numbers a vector.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def one_hot(ids: np.ndarray, size: int) -> np.ndarray:
    """(...) ids -> (..., size), a 1 at the id and 0 elsewhere."""
    return (np.asarray(ids)[..., None] == np.arange(size)).astype(float)


def embedding(ids: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rows `ids` of the table: (...) integers, (V, n) -> (..., n).

    It is the product of the one-hot rows with the table (*Principles and Practice* §8.4 writes s = E w, with a word a column
    of E; here it is a row). Looking up is the same number without V - 1 products by 0.
    """
    return weight[ids]


def embedding_backward(
    ids: np.ndarray, weight: np.ndarray, gradient: np.ndarray, padding: int | None = None
) -> np.ndarray:
    """Gradient by the table. A token that occurs k times gets the sum of k gradients; ids have no gradient.

    padding: the id whose row never learns (PyTorch's `padding_idx`); its vector is still used in the forward pass.
    `by_weight[ids] += gradient` is the usual mistake: NumPy then keeps only the last of the repeated rows.
    """
    by_weight = np.zeros_like(weight)
    np.add.at(by_weight, ids, gradient)
    if padding is not None:
        by_weight[padding] = 0
    return by_weight


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="embedding",
        function="embedding.embedding",
        backward="embedding.embedding_backward",
        formula=r"e_t = E^\top o_t, \quad o_t \in \{0, 1\}^V \text{ one-hot}",
        derivative=r"\frac{\partial L}{\partial E_v} = \sum_{t:\, i_t = v} \frac{\partial L}{\partial e_t}",
        fast="torch.nn.Embedding",
        source="Bengio et al. 2003; Principles and Practice §8.4; Deep Learning with Python §6.1.2; course notes §5.2.2",
        note="A lookup, not a product; repeated ids add their gradients up. The padding id keeps its row.",
    ),
)
