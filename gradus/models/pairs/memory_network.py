"""End-to-end memory network (Sukhbaatar et al. 2015): the sentences of a text are memories that a question looks among.

    m_i = sum of A x over the words of sentence i, + its age      u = sum of B q over the words of the question
    p = softmax(u · m_i)                                          o = sum of p_i c_i, with c like m by a matrix of its own
    u <- u + o, as often as there are hops                        answer = W u

Deviations: words of a sentence are a bag (the paper's position encoding changes nothing where their order does not matter);
no linear start; a question has its own matrix. A sentence ends with the token `separator`. The age of a sentence counts from the
end of the text: 0 is the last one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.nn import masked_softmax


class MemoryNetwork(nn.Module):
    """ids (B, T) of a text and (B, U) of a question -> (B, num_classes).

    separator: the id that ends a sentence; memories: ages that are told apart, older sentences count as the oldest
    """

    def __init__(
        self,
        num_tokens: int,
        num_classes: int = 2,
        separator: int = 0,
        embedding_size: int = 64,
        hops: int = 1,
        memories: int = 50,
    ) -> None:
        super().__init__()
        if hops < 1 or memories < 1:
            raise UserError(f"hops, memories: expected 1 or more, received {hops}, {memories}")
        self.separator, self.memories = separator, memories
        self.question = nn.Embedding(num_tokens, embedding_size, 0)
        # adjacent hops share: what hop k gives out (C) is what hop k + 1 looks among (A)
        self.words = nn.ModuleList(nn.Embedding(num_tokens, embedding_size, 0) for _ in range(hops + 1))
        self.ages = nn.ModuleList(nn.Embedding(memories, embedding_size) for _ in range(hops + 1))
        self.head = nn.Linear(embedding_size, num_classes)
        for table in (self.question, *self.words, *self.ages):
            nn.init.normal_(table.weight, std=0.1)
            if table.padding_idx is not None:
                nn.init.zeros_(table.weight[table.padding_idx])

    def forward(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        return self._read(*inputs)[0]

    def attention(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """(B, hops, T): how much each hop looked at each token of the text. The tokens of a sentence share its weight, so that a
        row adds up to 1; padding has 0. Networks that look at parts of their (first) text offer this method."""
        _, weights, member = self._read(*inputs)
        sizes = member.sum(dim=2).clamp(min=1)  # tokens of each sentence
        return (weights / sizes[:, None, :]) @ member

    def _read(self, story: Tensor, question: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(answer (B, C), weights (B, hops, S) of the sentences, member (B, S, T): tokens of each). S is T: most are empty."""
        exists, ends = story != 0, story == self.separator
        sentence = ends.cumsum(dim=1) - ends.to(torch.int64)  # of each token; its separator belongs to it
        places = torch.arange(story.shape[1], device=story.device)
        member = ((sentence[:, None, :] == places[:, None]) & exists[:, None, :]).to(self.head.weight.dtype)
        there = member.any(dim=2)
        last = torch.where(there, places, -1).amax(dim=1, keepdim=True)
        age = (last - places).clamp(0, self.memories - 1)
        state = self.question(question).sum(dim=1)
        hops = []
        for hop in range(len(self.words) - 1):
            looked_at, given = (member @ self.words[k](story) + self.ages[k](age) for k in (hop, hop + 1))
            weights = masked_softmax(state[:, None, :] @ looked_at.transpose(1, 2), there)[:, 0]
            state = state + (weights[:, None, :] @ given)[:, 0]
            hops.append(weights)
        return self.head(state), torch.stack(hops, dim=1), member
