"""Attention, units and memory, on networks of which it is known where they look, what they hold and how far back they hear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from passages_made import WORDS, passage, subject_of
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside.attending import attention, dot_product_weights, weights_of
from gradus.look.inside.features_of_steps import correlations, features_of
from gradus.look.inside.memory import decay, memory, reach, sensitivity
from gradus.look.inside.passages import Passage
from gradus.look.inside.units import units
from gradus.models import create_model
from gradus.recipes.looking import look
from gradus.recipes.looking import subject_of as named_subject

TEXT = "the film not bad very good film"


class LooksAt(nn.Module):
    """Answers from one word, and says so: two hops, the first at all steps alike."""

    def __init__(self, word: int) -> None:
        super().__init__()
        self.word, self.weight = word, nn.Parameter(torch.ones(1))

    def attention(self, ids: Tensor) -> Tensor:
        there = (ids == self.word).float()
        return torch.stack([torch.full_like(there, 1 / ids.shape[1]), there / there.sum(1, keepdim=True)], dim=1)

    def forward(self, ids: Tensor) -> Tensor:
        count = (ids == self.word).float().sum(dim=1) * self.weight
        return torch.stack([-count, count], dim=1)


def test_weights_that_a_network_tells_are_shown_hop_by_hop(tmp_path):
    sight = attention(subject_of(LooksAt(WORDS.index("bad"))), [passage(TEXT)])
    assert sight.arrays["weights-0"].shape == (2, 7)
    assert sight.arrays["weights-0"][1].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert "“bad” 57.1%" in sight.said[0]  # the mean of 1/7 and 1
    assert sight.numbers[f"rank correlation with leaving words out, {TEXT}"] == pytest.approx(1)
    assert [path.name for path in sight.write(tmp_path)] == [
        "attention.html",
        "attention-hop-0-0.png",
        "attention-hop-1-0.png",
    ]


class Encoder(nn.Module):
    def __init__(self, own: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.project, self.own = nn.Linear(8, 24), own
        self.head = nn.Linear(8, 2)

    def forward(self, ids: Tensor) -> Tensor:
        vectors = self.embedding(ids)
        if not self.own:
            return self.head(self.body(vectors).mean(dim=1))
        query, key, value = self.project(vectors).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.head(found.transpose(1, 2).flatten(2).mean(dim=1))


def test_the_heads_of_transformers_are_listened_to():
    torch.manual_seed(0)
    text = passage(TEXT)
    of_layers = weights_of(subject_of(Encoder(own=False)), text)
    assert [one.shape for one in of_layers] == [(2, 7, 7)] * 2
    np.testing.assert_allclose(np.stack(of_layers).sum(axis=-1), 1, atol=1e-6)
    (causal,) = weights_of(subject_of(Encoder(own=True)), text)
    assert np.triu(causal, 1).max() == 0 and causal[0, 0, 0] == pytest.approx(1)
    sight = attention(subject_of(Encoder(own=True)), [text], step="1")
    assert sight.arrays["received-0"][2:].max() == 0
    assert len(sight.panels) == 4  # words, the mean, two heads


@pytest.mark.parametrize("kind", ["causal", "bool", "added", "none"])
def test_weights_times_values_are_pytorchs_attention(kind):
    query, key, value = torch.randn(3, 2, 2, 5, 4).unbind(0)
    mask = torch.rand(5, 5) > 0.4
    mask[:, 0] = True
    more = {"causal": {"is_causal": True}, "bool": {"attn_mask": mask}, "added": {"attn_mask": torch.randn(5, 5)}}
    given = more.get(kind, {})
    expected = nn.functional.scaled_dot_product_attention(query, key, value, **given)
    assert torch.allclose(dot_product_weights(query, key, value, **given) @ value, expected, atol=1e-6)


def test_networks_without_attention_are_refused():
    with pytest.raises(UserError, match="no attention"):
        attention(subject_of(create_model("gru", num_tokens=10)), [passage(TEXT)])


# ---- units


def test_features_are_told_from_the_past_of_a_step():
    told = features_of(list('a "b" (c)\nd.'))
    assert told["inside quotes"].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert told["inside brackets"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert told["how far into the line"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert told["a new line"].tolist() == [0] * 9 + [1, 0, 0]
    assert features_of(["not", "couldn't", "yes"])["a word that denies"].tolist() == [1, 1, 0]


def test_correlations_are_pearsons_and_0_of_what_is_constant():
    random = np.random.default_rng(0)
    values, features = random.normal(size=(50, 3)), random.normal(size=(50, 2))
    features[:, 1] = 7
    found = correlations(values, features)
    assert found[0, 2] == pytest.approx(np.corrcoef(values[:, 2], features[:, 0])[0, 1])
    assert (found[1] == 0).all()


def one_unit_for_lines() -> nn.Module:
    """Of its two units one moves at new lines (id 9) alone, the other never."""
    model = create_model("recurrent_lm", num_tokens=10, kind="simple", hidden_size=2, embedding_size=1, layers=1)
    with torch.no_grad():
        for parameter in model.body.parameters():
            parameter.zero_()
        model.embedding.weight.zero_()
        model.embedding.weight[9] = 1.0
        model.body.forwards[0].weight_ih_l0[1] = 5.0
    return model


def test_the_unit_that_follows_new_lines_is_found(tmp_path):
    text = passage("good film very bad film very")
    steps = tuple("\n" if word == "very" else word for word in text.steps)
    subject = subject_of(one_unit_for_lines(), answers="next", names=WORDS)
    subject = replace(
        subject, rows=lambda split: None, along=lambda split: [replace(text, steps=steps)] * 5, joined=True
    )
    sight = units(subject)
    place = sight.arrays["features"].tolist().index("a new line")
    assert sight.arrays["correlations"][place].tolist() == pytest.approx([0, 1])
    assert "unit 1 follows “a new line” best" in sight.said[0]
    assert sight.arrays["values-0"].shape == (30, 2)
    assert sight.panels[0].title.startswith("Unit 1: a new line (1)")
    sight.write(tmp_path)


def test_units_are_those_asked_for_of_any_layer_with_a_vector_a_step():
    model = create_model("lstm", num_tokens=10, num_classes=2, hidden_size=4)
    subject = subject_of(model)
    sight = units(subject, [passage(TEXT)], layer="front.embedding", units="3,17")
    expected = model.front.embedding(passage(TEXT).inputs).detach()
    np.testing.assert_allclose(sight.arrays["values-0"], expected, atol=1e-6)
    assert [panel.title.split(",")[0] for panel in sight.panels] == ["Unit 3", "Unit 17"]
    assert np.abs(units(subject, [passage(TEXT)], holds="cell").arrays["values-0"]).max() < 1
    with pytest.raises(UserError, match="from 0 to 3"):
        units(subject, [passage(TEXT)], units="4")
    with pytest.raises(UserError, match="not a vector for each"):
        units(subject, [passage(TEXT)], layer="head")


# ---- memory


def linear_memory(factor: float) -> nn.Module:
    """A network that is linear in its inputs: the answer is the sum of factor^distance x."""
    model = create_model("simple_rnn", in_features=1, num_classes=1, hidden_size=1)
    layer = nn.RNN(1, 1, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        for parameter in (*layer.parameters(), *model.head.parameters()):
            parameter.zero_()
        layer.weight_ih_l0.fill_(1.0)
        layer.weight_hh_l0.fill_(factor)
        model.head.weight.fill_(2.0)
    model.body.forwards[0] = layer
    return model


def test_memory_is_the_derivative_by_each_step():
    series = Passage("ones", tuple(map(str, range(6))), torch.ones(6, 1))
    subject = subject_of(linear_memory(0.5), answers="numbers", names=("y",))
    np.testing.assert_allclose(sensitivity(subject, series, 8), 2 * 0.5 ** np.arange(5, -1, -1), rtol=1e-6)
    sight = memory(subject, [series])
    assert sight.numbers["factor a step, random"] == pytest.approx(0.5)
    assert sight.numbers["half of it lies within, random"] == 1
    assert "fades by a factor of 0.5" in sight.said[1]


def test_reach_and_decay_of_curves_that_are_known():
    assert reach(np.ones(10), 0.5) == 5 and reach(np.ones(10), 0.9) == 9 and reach(np.zeros(3), 0.5) == 0
    assert decay(1.1 ** np.arange(20)) == pytest.approx(1.1)


def test_random_signs_estimate_the_norm_of_many_outputs():
    torch.manual_seed(0)
    model = create_model("gru", num_tokens=10, num_classes=40, hidden_size=6, embedding_size=4)
    subject, text = subject_of(model, names=tuple(map(str, range(40)))), passage(TEXT)
    exact, estimated = sensitivity(subject, text, 40), sensitivity(subject, text, 39)
    np.testing.assert_allclose(estimated, exact, rtol=0.35)


@pytest.mark.parametrize("name", ["lstm", "gru", "simple_rnn", "recurrent_lm"])
def test_a_network_alone_is_looked_into_with_random_ids(name):
    subject = named_subject(name)
    sight = look(subject, "memory", rows="2", probes="2")
    assert 0 < sight.numbers["factor a step, random"] < 1
    assert "random weights" in subject.notes[0]
