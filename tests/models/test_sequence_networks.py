"""Every network for sequences by property, and each against the parameter counts of the texts.

A new network gets the properties by being listed under `sequence.` in `MODELS`, language models aside: they have no one answer.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models import MODELS, accepted_options, create_model
from gradus.models.sequence.front import reverse, to_front
from gradus.models.sequence.recurrent import Recurrent

TOKENS, LENGTH, FEATURES, CLASSES = 30, 20, 5, 3
NAMES = [
    name
    for name in MODELS
    if MODELS[name][0].startswith("sequence.") and {"num_classes", "in_features"} <= set(accepted_options(name))
]
# what each is tested with beside its usual options
VARIANTS = {
    "simple_rnn": [{"bidirectional": True, "layers": 2}],
    "lstm": [{"bidirectional": True, "layers": 2, "dropout": 0.2, "recurrent_dropout": 0.2}, {"reversed": True}],
    "gru": [{"bidirectional": True, "hidden_size": [4, 6]}, {"recurrent_dropout": 0.2}],
    "attention_rnn": [{"bidirectional": False, "kind": "lstm"}],
    "sequence_mlp": [{"hidden": [6], "dropout": 0.3}],
    "averaged_embeddings": [{"hidden": [6]}],
    "text_convnet": [{"batch_norm": True, "kernel_size": 3, "pool": 2, "layers": 3, "hidden": [4]}],
    "conv_rnn": [{"batch_norm": True, "kernel_size": 2, "pool": 2, "recurrent_dropout": 0.1, "dropout": 0.1}],
    "dilated_convnet": [{"pooling": "mean", "layers": 2}, {"pooling": "max", "dropout": 0.2}],
    "transformer_encoder": [{"positions": "learnt", "pooling": "first"}, {"pooling": "first", "heads": 1}],
}
SHORT = {"kernel_size": 3, "pool": 2}  # for series of LENGTH steps: windows of the texts' sizes would not fit in
CASES = [(name, options) for name in NAMES for options in [{}, *VARIANTS.get(name, [])]]
OF_TOKENS = [*CASES, ("averaged_embeddings", {"ngrams": 3, "buckets": 50})]


def ids_of(case: str) -> str:
    return case if isinstance(case, str) else ",".join(f"{name}={value}" for name, value in case.items()) or "usual"


def made(name: str, options: dict, seed: int = 0, **sizes: int) -> nn.Module:
    torch.manual_seed(seed)
    accepted = accepted_options(name)
    sizes |= {"length": LENGTH, "num_classes": CLASSES, "embedding_size": 8, "channels": 6}
    chosen = {key: value for key, value in sizes.items() if key in accepted}
    model = create_model(name, **{**chosen, **options})
    for key, parameter in model.named_parameters():  # large enough for differences to be seen, if there were any
        if parameter.ndim > 1 and "weight_hh" not in key and "hidden_weight" not in key:
            nn.init.normal_(parameter, std=min(0.2, parameter[0].numel() ** -0.5))
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
    return model


def some_ids(rows: int = 4, steps: int = LENGTH) -> torch.Tensor:
    return torch.randint(1, TOKENS, (rows, steps), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("name", "options"), OF_TOKENS, ids=ids_of)
def test_padding_changes_no_logit(name, options):
    model = made(name, options, num_tokens=TOKENS).eval()
    ids = some_ids()
    for length in (LENGTH, 5, 1):
        alone = model(ids[:, :length])
        for padding in ((0, 9), (9, 0), (4, 40)):
            assert float((model(functional.pad(ids[:, :length], padding)) - alone).detach().abs().max()) < 1e-6
    among = ids.clone()
    among[0, 4:], among[1, 1:] = 0, 0
    outputs = model(among)
    for row, length in enumerate((4, 1, LENGTH, LENGTH)):
        assert torch.allclose(model(ids[row : row + 1, :length]), outputs[row : row + 1], atol=1e-5)


@pytest.mark.parametrize(("name", "options"), OF_TOKENS, ids=ids_of)
def test_rows_answer_for_themselves_and_learn(name, options):
    model = made(name, options, num_tokens=TOKENS).eval()
    ids = some_ids()
    ids[1, 3:], ids[2] = 0, 0  # a row without any token
    outputs = model(ids)
    assert outputs.shape == (4, CLASSES) and bool(torch.isfinite(outputs).all())
    order = torch.tensor([3, 1, 0, 2])
    assert torch.allclose(model(ids[order]), outputs[order], atol=1e-6)
    assert float((outputs[0] - outputs[3]).detach().abs().max()) > 1e-4  # it does read them
    finite_gradients(model, ids)


def finite_gradients(model: nn.Module, inputs: torch.Tensor) -> None:
    model.train()(inputs).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(torch.isfinite(parameter.grad).all()), name
    head = next(parameter for name, parameter in model.named_parameters() if name == "head.weight")
    assert float(head.grad.abs().max()) > 0


@pytest.mark.parametrize(("name", "options"), CASES, ids=ids_of)
def test_numbers_go_in_as_well(name, options):
    if "pool" in accepted_options(name):
        options = {**SHORT, **options}
    model = made(name, options, in_features=FEATURES).eval()
    numbers = torch.randn(4, LENGTH, FEATURES, generator=torch.Generator().manual_seed(4))
    outputs = model(numbers)
    assert outputs.shape == (4, CLASSES) and bool(torch.isfinite(outputs).all())
    order = torch.tensor([3, 1, 0, 2])
    assert torch.allclose(model(numbers[order]), outputs[order], atol=1e-6)
    finite_gradients(model, numbers)


@pytest.mark.parametrize("name", NAMES)
def test_unmasked_networks_read_padding_as_a_token(name):
    """As the texts' code did. A row of padding alone has an answer that learns."""
    model = made(name, {"masked": False}, num_tokens=TOKENS).eval()
    ids = some_ids(steps=50 if name in ("text_convnet", "conv_rnn") else LENGTH)
    ids[:, :3] = 0
    changed = ids.clone()
    changed[:, :3] = 1
    assert float((model(ids) - model(changed)).detach().abs().max()) > 1e-5
    assert model(ids[:, :1]).shape == (4, CLASSES)  # one token alone is enough
    model(ids).sum().backward()
    assert float(model.front.embedding.weight.grad[0].abs().max()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_network_has_to_know_what_it_reads(name):
    length = {"length": 4} if "length" in accepted_options(name) else {}
    with pytest.raises(UserError, match=r"num_tokens .* or in_features"):
        create_model(name, **length)


def count(model: nn.Module, without: str = "") -> int:
    return sum(p.numel() for name, p in model.named_parameters() if not without or without not in name)


SECOND_BIAS = "bias_hh"  # PyTorch's simple and LSTM layers have one; Keras does not
LISTED = [
    ("6-7", "sequence_mlp", {"num_tokens": 10_000, "length": 20, "embedding_size": 8}, 80_161),
    ("6-12", "sequence_mlp", {"num_tokens": 10_000, "length": 100, "embedding_size": 100, "hidden": [32]}, 1_320_065),
    ("6-23", "simple_rnn", {"num_tokens": 10_000, "embedding_size": 32, "hidden_size": 32}, 322_113),
    ("6-27", "lstm", {"num_tokens": 10_000, "embedding_size": 32, "hidden_size": 32}, 328_353),
    ("6-42", "lstm", {"num_tokens": 10_000, "embedding_size": 128, "hidden_size": 32, "reversed": True}, 1_300_641),
    ("6-43", "lstm", {"num_tokens": 10_000, "embedding_size": 32, "hidden_size": 32, "bidirectional": True}, 336_705),
    ("6-38", "sequence_mlp", {"in_features": 14, "length": 240, "hidden": [32]}, 107_585),
    ("6-39", "reset_before_gru", {"in_features": 14, "hidden_size": 32}, 4_545),
    ("6-41", "reset_before_gru", {"in_features": 14, "hidden_size": [32, 64]}, 23_201),
    ("6-44", "reset_before_gru", {"in_features": 14, "hidden_size": 32, "bidirectional": True}, 9_089),
    ("6-47", "text_convnet", {"in_features": 14, "kernel_size": 5, "pool": 3, "layers": 3}, 12_609),
    ("6-49", "conv_rnn", {"in_features": 14, "kind": "reset_before_gru"}, 13_697),
    ("6-46", "text_convnet", {"num_tokens": 10_000, "embedding_size": 128}, 1_315_937),
    ("7-7", "text_convnet", {"num_tokens": 2_000, "embedding_size": 128}, 291_937),
]
# with the reset gate behind the product, as in Keras today: two biases there too
LISTED += [
    ("6-39", "gru", {"in_features": 14, "hidden_size": 32}, 4_641),
    ("6-41", "gru", {"in_features": 14, "hidden_size": [32, 64]}, 23_489),
    ("6-44", "gru", {"in_features": 14, "hidden_size": 32, "bidirectional": True}, 9_281),
    ("6-49", "conv_rnn", {"in_features": 14}, 13_793),
]


@pytest.mark.parametrize(("listing", "name", "options", "printed"), LISTED)
def test_the_parameters_of_the_texts(listing, name, options, printed):
    model = create_model(name, num_classes=1, **options)
    second = SECOND_BIAS if name in ("simple_rnn", "lstm") else ""
    assert count(model, second) == printed
    if second:
        units = options["hidden_size"] * (4 if name == "lstm" else 1) * (2 if options.get("bidirectional") else 1)
        assert count(model) == printed + units


@pytest.mark.parametrize(
    ("kind", "inputs", "units", "printed"),
    [
        ("simple", 1801, 256, 526_848),  # Principles and Practice, fig. 7-22
        ("lstm", 2000, 128, 1_090_048),  # its listings 8-4 and 8-5
        ("lstm", 128, 128, 131_584),
        ("reset_before_gru", 1024, 1024, 6_294_528),
        ("simple", 32, 32, 2_080),  # Deep Learning with Python, §6.2
        ("lstm", 128, 32, 20_608),  # its Siamese LSTM, §7.1.5
    ],
)
def test_the_parameters_of_single_layers(kind, inputs, units, printed):
    assert count(Recurrent(kind, inputs, units), SECOND_BIAS) == printed


def test_the_second_bias_adds_nothing_that_the_first_cannot_say():
    torch.manual_seed(0)
    layer = nn.LSTM(3, 4, batch_first=True)
    inputs = torch.randn(2, 5, 3)
    before = layer(inputs)[0]
    with torch.no_grad():
        layer.bias_ih_l0 += layer.bias_hh_l0
        layer.bias_hh_l0.zero_()
    assert torch.allclose(layer(inputs)[0], before, atol=1e-6)


def test_an_unmasked_convnet_is_that_of_keras():
    """Valid windows, pooling that drops the rest: lengths 500 -> 494 -> 98 -> 92, as figure 7-15 should say."""
    model = made("text_convnet", {"masked": False, "embedding_size": 128, "channels": 32}, num_tokens=TOKENS).eval()
    ids = some_ids(2, 500)
    values = model.front.embedding(ids).transpose(1, 2)
    first = functional.relu(functional.conv1d(values, *model.body.convolutions[0].parameters()))
    pooled = functional.max_pool1d(first, 5)
    second = functional.relu(functional.conv1d(pooled, *model.body.convolutions[1].parameters()))
    assert [first.shape[2], pooled.shape[2], second.shape[2]] == [494, 98, 92]
    assert torch.allclose(model(ids), model.head(second.amax(dim=2)), atol=1e-4)
    whole = made("text_convnet", {"embedding_size": 128, "channels": 32}, num_tokens=TOKENS).eval()
    whole.load_state_dict(model.state_dict())
    assert torch.equal(whole(ids), model(ids))  # nothing is padded here, so masks change nothing


def test_attention_tells_what_was_looked_at():
    model = made("attention_rnn", {}, num_tokens=TOKENS).eval()
    ids = some_ids(3)
    ids[0, :4], ids[1, 7:], ids[2] = 0, 0, 0
    weights = model.attention(ids)
    assert weights.shape == ids.shape and bool((weights[ids == 0] == 0).all()) and bool((weights[ids != 0] > 0).all())
    assert torch.allclose(weights.sum(dim=1), torch.tensor([1.0, 1.0, 0.0]), atol=1e-6)
    alone = model.attention(ids[:1, 4:])
    assert torch.allclose(weights[0, 4:], alone[0], atol=1e-6)


def test_a_dilated_convnet_sees_its_past_alone():
    model = made("dilated_convnet", {"layers": 3, "kernel_size": 2}, in_features=2).eval()
    assert model.receptive_field == 15
    numbers = torch.randn(1, 40, 2, requires_grad=True)
    model(numbers).sum().backward()
    seen = numbers.grad.abs().sum(dim=(0, 2)) > 0
    assert not bool(seen[:-15].any()) and bool(seen[-1])
    steps = model.blocks(numbers.transpose(1, 2))
    assert torch.allclose(model.blocks(numbers[:, :20].transpose(1, 2)), steps[:, :, :20], atol=1e-6)


def test_n_grams_are_told_apart_by_their_order():
    model = made("averaged_embeddings", {"ngrams": 2, "buckets": 100_000}, num_tokens=TOKENS)
    rows = model.rows_of_ngrams(torch.tensor([[4, 5, 4, 5, 0]]), 2)
    assert rows[0, 0] == rows[0, 2] != rows[0, 1] and rows[0, 3] == 0
    pairs = torch.cartesian_prod(torch.arange(1, 200), torch.arange(1, 200))
    found = model.rows_of_ngrams(pairs, 2)
    assert int(found.min()) >= 1 and int(found.max()) <= 100_000
    expected = 100_000 * (1 - (1 - 1 / 100_000) ** len(pairs))  # rows that are hit where each pair falls anywhere
    assert len(found.unique()) > 0.97 * expected


def test_a_mean_of_n_grams_is_the_mean_of_their_vectors():
    model = made("averaged_embeddings", {"ngrams": 2, "buckets": 50}, num_tokens=TOKENS).eval()
    ids = torch.tensor([[0, 7, 8, 9, 0]])
    rows = model.rows_of_ngrams(torch.tensor([[7, 8, 9]]), 2)[0]
    vectors = torch.cat([model.front.embedding.weight[7:10], model.pieces[rows]])
    assert torch.allclose(model(ids), model.head(vectors.mean(dim=0, keepdim=True)), atol=1e-6)


def test_batch_statistics_are_of_the_steps_that_exist():
    model = made("text_convnet", {"batch_norm": True, "kernel_size": 1, "layers": 1}, num_tokens=TOKENS).train()
    twin = made("text_convnet", {"batch_norm": True, "kernel_size": 1, "layers": 1}, num_tokens=TOKENS).train()
    ids = some_ids()
    found, padded = model(ids), twin(functional.pad(ids, (0, 30)))
    assert torch.allclose(found, padded, atol=1e-5)
    for name, buffer in model.named_buffers():
        assert torch.allclose(buffer, twin.get_buffer(name), atol=1e-5), name


def test_recurrent_weights_begin_orthogonal():
    torch.manual_seed(0)
    layer = create_model("lstm", in_features=3, hidden_size=5).body.forwards[0]
    for gate in layer.weight_hh_l0.split(5):
        assert torch.allclose(gate @ gate.t(), torch.eye(5), atol=1e-5)
    bias = layer.bias_ih_l0 + layer.bias_hh_l0
    assert bias.tolist() == [0] * 5 + [1] * 5 + [0] * 10  # gates i, f, g, o


def test_to_front_keeps_the_order():
    ids = torch.tensor([[0, 3, 0, 5, 1], [0, 0, 0, 0, 0], [4, 2, 2, 0, 0]])
    assert to_front(ids).tolist() == [[3, 5, 1, 0, 0], [0, 0, 0, 0, 0], [4, 2, 2, 0, 0]]


def test_a_reversed_network_reads_from_the_end():
    model = made("gru", {"reversed": True}, num_tokens=TOKENS).eval()
    plain = made("gru", {}, num_tokens=TOKENS).eval()
    ids = some_ids()
    ids[0, 5:] = 0
    assert torch.allclose(model(ids), plain(reverse(ids, ids != 0)), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("gru", {"in_features": 2, "layers": 3, "hidden_size": [4, 5]}, "3 layers of"),
        ("attention_rnn", {"in_features": 2, "kind": "lstn"}, "did you mean 'lstm'"),
        ("peephole_lstm", {"in_features": 2, "recurrent_dropout": 0.1}, "peephole_lstm has none"),
        ("text_convnet", {"in_features": 2, "pool": 0}, "pool must be"),
        ("transformer_encoder", {"in_features": 2, "heads": 5}, "5 heads"),
        ("transformer_encoder", {"in_features": 2, "positions": "learnt"}, "need length"),
        ("averaged_embeddings", {"in_features": 2, "ngrams": 2}, "numbers have none"),
        ("dilated_convnet", {"in_features": 2, "pooling": "mena"}, "did you mean 'mean'"),
    ],
)
def test_mistakes_are_told(name, options, told):
    with pytest.raises(UserError, match=told):
        create_model(name, **options)


def test_short_series_are_told():
    model = create_model("text_convnet", in_features=2)
    with pytest.raises(UserError, match="need 41 steps or more, received 10"):
        model(torch.zeros(1, 10, 2))
