"""CTC decoding: held to the NumPy reference; lengths that PyTorch's loss may be given."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from gradus.nn import convolved_lengths, ctc_greedy, ctc_prefix_beam
from gradus.reference import ctc

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 999)


def problem(seed, batch, frames, symbols):
    torch.manual_seed(seed)
    return 2 * torch.randn(batch, frames, symbols, dtype=torch.float64), torch.randint(0, frames + 1, (batch,))


@quick
@given(st.integers(1, 4), st.integers(1, 8), st.integers(2, 4), st.integers(0, 1), seeds)
def test_greedy_is_the_reference(batch, frames, symbols, blank, seed):
    logits, lengths = problem(seed, batch, frames, symbols)
    found = ctc_greedy(logits, lengths, blank)
    for row, length in enumerate(lengths.tolist()):
        assert found[row] == list(ctc.greedy_decode(logits[row, :length].numpy(), blank))
    assert ctc_greedy(logits, blank=blank) == ctc_greedy(logits, torch.full((batch,), frames), blank)
    assert ctc_greedy(logits.log_softmax(dim=2), lengths, blank) == found


@quick
@given(st.integers(1, 3), st.integers(1, 6), st.integers(2, 4), st.integers(1, 20), st.integers(0, 1), seeds)
def test_prefix_beam_is_the_reference(batch, frames, symbols, width, blank, seed):
    logits, lengths = problem(seed, batch, frames, symbols)
    found = ctc_prefix_beam(logits, lengths, width, blank=blank)
    for row, length in enumerate(lengths.tolist()):
        wanted = ctc.prefix_beam_search(logits[row, :length].log_softmax(dim=1).numpy(), width, blank)
        assert [label for label, _ in found[row]] == [list(label) for label, _ in wanted]
        assert [value for _, value in found[row]] == pytest.approx([value for _, value in wanted], rel=1e-9, abs=1e-12)


@quick
@given(st.integers(1, 5), seeds)
def test_a_wide_beam_finds_the_least_ctc_loss(frames, seed):
    logits, _ = problem(seed, 1, frames, 3)
    for label, value in ctc_prefix_beam(logits, width=1000)[0]:
        loss = functional.ctc_loss(
            logits.log_softmax(dim=2).transpose(0, 1),
            torch.tensor([label], dtype=torch.long),
            torch.tensor([frames]),
            torch.tensor([len(label)]),
            reduction="sum",
        )
        assert -value == pytest.approx(loss.item(), rel=1e-9, abs=1e-12)


def test_fewer_symbols_a_frame():
    logits, _ = problem(1, 1, 12, 30)
    whole, few = ctc_prefix_beam(logits, width=8)[0], ctc_prefix_beam(logits, width=8, symbols=6)[0]
    log_probabilities = logits[0].log_softmax(dim=1).numpy()
    for label, value in few:
        assert value <= ctc.label_log_probability(log_probabilities, label) + 1e-9
    assert ctc_prefix_beam(logits, width=8, symbols=99)[0] == whole
    with_one = ctc_prefix_beam(logits, width=8, symbols=1)[0]
    assert [label for label, _ in with_one] == ctc_greedy(logits)


@quick
@given(st.integers(1, 60), st.integers(1, 11), st.integers(1, 3), st.integers(0, 4), st.integers(1, 2))
def test_convolved_lengths_are_those_of_a_convolution(length, kernel, stride, padding, dilation):
    (found,) = convolved_lengths(torch.tensor([length]), kernel, stride, padding, dilation).tolist()
    layer = torch.nn.Conv1d(1, 1, kernel, stride, padding, dilation)
    if length + 2 * padding < dilation * (kernel - 1) + 1:
        assert found == 0
    else:
        assert found == layer(torch.zeros(1, 1, length)).shape[2]


def test_the_books_convolution_leaves_less_than_half_of_the_frames():
    # K-07: kernel 11, stride 2. Listing 8-21 tells the loss the length from before the convolution, which the loss refuses
    lengths = torch.tensor([200, 161, 11, 5])
    assert convolved_lengths(lengths, 11, 2).tolist() == [(200 - 11) // 2 + 1, 76, 1, 0]
    scores = torch.randn(95, 1, 4).log_softmax(dim=2)
    label = torch.tensor([[1, 2]])
    assert torch.isfinite(functional.ctc_loss(scores, label, convolved_lengths(lengths[:1], 11, 2), torch.tensor([2])))
    with pytest.raises(RuntimeError, match="input_lengths"):
        functional.ctc_loss(scores, label, lengths[:1], torch.tensor([2]))
