"""What every language model has to keep: it never looks ahead, and it goes on from a state as if it had read on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.sequence.decoder import rotate

TOKENS, LENGTH = 11, 16
KINDS: list[tuple[str, dict]] = [
    ("recurrent_lm", {"kind": "simple", "hidden_size": 12, "embedding_size": 12, "tied": True}),
    ("recurrent_lm", {"kind": "lstm", "hidden_size": 12, "dropout": 0.3}),
    ("recurrent_lm", {"kind": "gru", "hidden_size": 12, "embedding_size": 0, "init_scale": 0.5}),
    ("transformer_lm", {"length": LENGTH, "width": 16, "layers": 2, "heads": 2}),
    ("transformer_lm", {"length": LENGTH, "width": 16, "layers": 2, "heads": 2, "positions": "rotary", "tied": False}),
    ("conv_lm", {"width": 8, "layers": 3}),
    ("window_lm", {"window": 3}),
]


def made(name: str, options: dict) -> nn.Module:
    torch.manual_seed(0)
    model = create_model(name, num_tokens=TOKENS, **options).eval()
    for parameter in model.parameters():  # larger weights than at the beginning, so that everything has a say
        parameter.data.mul_(3)
    return model


def ids(rows: int = 3, steps: int = LENGTH) -> Tensor:
    return torch.randint(1, TOKENS, (rows, steps), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_what_comes_later_changes_nothing(name, options):
    model, text = made(name, options), ids()
    before = model(text)
    assert before.shape == (3, LENGTH, TOKENS)
    for step in (4, 9):
        other = text.clone()
        other[:, step:] = other[:, step:] % (TOKENS - 1) + 1  # another token at every place
        after = model(other)
        assert torch.allclose(after[:, :step], before[:, :step], atol=1e-6)
        assert not torch.allclose(after[:, step], before[:, step], atol=1e-4)


@pytest.fixture
def in_float64():
    """For networks with such large weights that they make much of float32's rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(("name", "options"), KINDS)
@pytest.mark.parametrize("pieces", [[1] * LENGTH, [5, 1, 7, 3]])
def test_going_on_from_a_state_is_reading_on(name, options, pieces):
    model, text = made(name, options), ids()
    state, found = None, []
    for piece in text.split(pieces, dim=1):
        logits, state = model.continued(piece, state)
        assert all(part.shape[1] == len(text) for part in state)
        found.append(logits)
    assert torch.allclose(torch.cat(found, dim=1), model(text), atol=1e-9)


@pytest.mark.parametrize("positions", ["learnt", "rotary"])
def test_a_transformer_at_the_end_of_its_context_reads_the_last_half_anew(positions):
    model = made("transformer_lm", {"length": 8, "width": 16, "layers": 2, "heads": 2, "positions": positions})
    text = ids(2, 23)
    state, seen = None, 0
    for step in range(text.shape[1]):
        logits, state = model.continued(text[:, step : step + 1], state)
        seen = seen + 1 if seen < 8 else 5  # 4 are kept, and the new one
        assert torch.allclose(logits[:, 0], model(text[:, step + 1 - seen : step + 1])[:, -1], atol=1e-5)
    with pytest.raises(UserError, match="sees 8 tokens at most"):
        model(text)


def test_rotated_products_depend_on_the_distance_alone():
    torch.manual_seed(0)
    query, key = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    near = (rotate(query, 5) * rotate(key, 2)).sum()
    assert torch.allclose((rotate(query, 45) * rotate(key, 42)).sum(), near, atol=1e-5)
    assert not torch.allclose((rotate(query, 5) * rotate(key, 3)).sum(), near, atol=1e-3)


def test_attention_is_that_of_the_formula():
    model = made("transformer_lm", {"length": LENGTH, "width": 16, "layers": 1, "heads": 2})
    attention = model.blocks[0].attention
    inputs = torch.randn(2, 5, 16)
    query, key, value = (part.view(2, 5, 2, 8).transpose(1, 2) for part in attention.inward(inputs).split(16, dim=2))
    scores = query @ key.transpose(2, 3) / math.sqrt(8)
    weights = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf).softmax(dim=3)
    by_hand = attention.outward((weights @ value).transpose(1, 2).reshape(2, 5, 16))
    assert torch.allclose(attention(inputs, None)[0], by_hand, atol=1e-5)


def test_transformers_begin_as_gpt_2_does():
    torch.manual_seed(0)
    model = create_model("transformer_lm", num_tokens=500, width=128, layers=8, heads=4, length=64)
    assert model.head.weight is model.embedding.weight
    assert model.embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.blocks[3].narrow.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    targets = torch.randint(0, 500, (4 * 32,))
    loss = functional.cross_entropy(model(ids(4, 32)).flatten(0, 1), targets)
    assert loss.item() == pytest.approx(math.log(500), rel=0.02)


def test_a_convolution_sees_as_far_as_it_says():
    model, text = made("conv_lm", {"width": 8, "layers": 3}), ids(1, 20)
    assert model.sees == 15
    last = model(text)[0, -1]
    for back, is_seen in ((14, True), (15, False)):
        other = text.clone()
        other[0, -1 - back] = other[0, -1 - back] % (TOKENS - 1) + 1
        assert torch.allclose(model(other)[0, -1], last, atol=1e-7) is not is_seen


def test_the_window_network_is_bengios_equation():
    model, text = made("window_lm", {"window": 3, "embedding_size": 4, "hidden_size": 5}), ids(1, 6)
    vector = torch.cat([model.embedding(text[0, place]) for place in (3, 4, 5)])
    wanted = model.head.bias + model.direct.weight @ vector
    wanted = wanted + model.head.weight @ torch.tanh(model.hidden.bias + model.hidden.weight @ vector)
    assert torch.allclose(model(text)[0, 5], wanted, atol=1e-5)


def test_one_hot_vectors_and_the_scale_of_tensorflows_program():
    model = create_model("recurrent_lm", num_tokens=7, embedding_size=0, hidden_size=5, layers=1, init_scale=0.1)
    layer = model.body.forwards[0]
    assert layer.weight_ih_l0.shape == (20, 7)
    assert 0.05 < float(layer.weight_hh_l0.abs().max()) <= 0.1
    assert not layer.bias_ih_l0.any() and not layer.bias_hh_l0.any()
    assert model.head.bias.any()


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="have to be equal"):
        create_model("recurrent_lm", num_tokens=9, tied=True, embedding_size=8, hidden_size=9)
    with pytest.raises(UserError, match="positions one of learnt, rotary"):
        create_model("transformer_lm", num_tokens=9, positions="sinus")
    with pytest.raises(UserError, match="window of 1 token"):
        create_model("window_lm", num_tokens=9, window=0)
