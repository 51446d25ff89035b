"""Writing on: the same seed, the same text; documents end; what cannot be is told in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gradus import cli
from gradus.data.columns import Column, Label, Number, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.models import create_model
from gradus.nn.sampling import next_distribution, sample
from gradus.recipes.execute import fit
from gradus.recipes.generating import Sampling, write_on
from gradus.recipes.run import Run, load_run
from gradus.train.randomness import derive


def texts(rows: list[str], ordered: bool) -> Dataset:
    split = Split({"text": Column(Text(), rows)}, NumberedRows.count("rows", len(rows)))
    return Dataset(name="texts", source="texts", splits={"train": split}, target="text", ordered=ordered)


def trained(folder, rows: list[str], ordered: bool, model: str = "recurrent_lm", **options) -> Run:
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "layers": 1} if model == "recurrent_lm" else {"length": 8, "width": 16, "layers": 1}
    words = options.get("tokenizer") == "word"
    kinds = 4 if words else len(set("".join(rows)))
    made = create_model(model, num_tokens=kinds + 4, **sizes)
    chosen = {"tokenizer": "character", "length": 8, **options}
    return fit(made, texts(rows, ordered), task_options=chosen, epochs=40, learning_rate=0.01, out=folder)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Run:
    return trained(tmp_path_factory.mktemp("runs") / "running", ["abcd abcd\n"] * 60, True, streams=4)


@pytest.fixture(scope="module")
def documents(tmp_path_factory) -> Run:
    return trained(tmp_path_factory.mktemp("runs") / "documents", ["abc", "dce"] * 60, False)


@pytest.fixture
def gradus(capsys: pytest.CaptureFixture):
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


def test_what_was_learnt_is_written_on(running):
    assert running.generate("abcd ab", length=13, temperature=0) == ["abcd abcd\nabcd abcd\n"]
    assert running.generate(length=9, temperature=0) == ["abcd abcd"]  # from a line break


def test_the_same_seed_gives_the_same_text(running):
    several = running.generate("ab", length=30, temperature=2.0, seed=3, count=3)
    assert several == running.generate("ab", length=30, temperature=2.0, seed=3, count=3)
    assert several[:1] == running.generate("ab", length=30, temperature=2.0, seed=3)
    assert len(set(several)) == 3
    assert several != running.generate("ab", length=30, temperature=2.0, seed=4, count=3)


def test_it_is_the_loop_of_the_text(running):
    """*Deep Learning with Python*, listing 8-7: predict, sample, append, with the whole text read again for every token."""
    task, model = running.task, running.model
    ids = task.encoder.encode("dabc").tolist()
    forbidden = torch.tensor([True] * 4 + [False] * (task.encoder.size - 4))
    generator = torch.Generator().manual_seed(derive(5, 0))
    for _ in range(20):
        with torch.inference_mode():
            logits = model(torch.tensor([ids]))[0, -1]
        ids.append(int(sample(next_distribution(logits, 1.5, forbidden=forbidden), generator)))
    assert running.generate("dabc", length=20, temperature=1.5, seed=5) == [task.encoder.decode(ids)]


def test_documents_begin_and_end(documents):
    found = documents.generate(length=50, count=20, seed=1)
    assert set(found) <= {"abc", "dce", *found} and {"abc", "dce"} <= set(found)
    assert documents.generate("d", length=50, temperature=0) == ["dce"]


def test_samples_of_all_temperatures_begin_with_the_same_prompt(running):
    """T-43: the text's loop goes on with the window that the temperature before it has left."""
    first = running.generate("cd ab", length=10, temperature=0.2, seed=1)
    running.generate("cd ab", length=10, temperature=1.2, seed=1)
    assert running.generate("cd ab", length=10, temperature=0.2, seed=1) == first
    assert all(running.generate("cd ab", length=9, temperature=t)[0].startswith("cd ab") for t in (0.2, 0.5, 1.0, 1.2))


def test_a_transformer_writes_further_than_it_sees(tmp_path):
    run = trained(tmp_path / "run", ["abcd abcd\n"] * 60, True, "transformer_lm")
    assert len(run.generate("abcd abcd\nabcd abcd\n", length=40)[0]) == 60
    assert run.generate("abcd ", length=25, temperature=0) == ["abcd abcd\nabcd abcd\nabcd abcd\n"]


def test_words_are_written_with_their_spaces(tmp_path):
    run = trained(tmp_path / "run", ["one two three, "] * 80, True, tokenizer="word")
    assert run.generate("one two", length=6, temperature=0) == ["one two three, one two three,"]
    with pytest.raises(UserError, match="the model knows no word of it"):
        run.generate("zebra", length=2)
    assert run.generate("one zebra", length=2, temperature=0)[0].startswith("one zebra")


def test_the_command_prints_what_python_returns(gradus, running):
    path = str(running.path)
    code, out, _ = gradus("generate", path, "--prompt", "ab", "--length", "20", "--seed", "3", "--temperature", "1.5")
    assert code == 0 and out == running.generate("ab", length=20, seed=3, temperature=1.5)[0] + "\n"
    code, out, _ = gradus("generate", path, "--prompt", "ab", "--length", "5", "--count", "2", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert ["ab" + record["text"] for record in records] == running.generate("ab", length=5, count=2)
    code, out, _ = gradus("generate", path, "--prompt", "ab", "--length", "5", "--count", "2")
    assert out.startswith("--- 1 ---\nab") and "\n--- 2 ---\nab" in out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--prompt", "abx"], "the model knows no 'x'"),
        (["--prompt", ""], "nothing to go on from"),
        (["--temperature", "-1"], "temperature: expected a number from 0"),
        (["--temperature", "warm"], "--temperature: expected a number, received 'warm'"),
        (["--top-p", "0"], "top-p: expected a share"),
        (["--top-k", "1.5"], "--top-k: expected a whole number"),
        (["--length", "0"], "length: expected 1 token or more"),
        (["--count", "0"], "--count: expected 1 or more"),
        (["--promt", "ab"], "did you mean '--prompt'?"),
    ],
)
def test_mistakes_are_one_sentence(gradus, running, flags, said):
    code, out, err = gradus("generate", str(running.path), *flags)
    assert code == 2 and out == "" and said in err and err.count("\n") == 1


def test_a_run_of_another_task_generates_nothing(gradus, tmp_path):
    columns = {"a": Column(Number(), np.arange(60.0)), "label": Column(Label(classes=("x", "y")), np.arange(60) % 2)}
    table = Dataset(name="t", source="t", splits={"train": Split(columns, NumberedRows.count("t", 60))}, target="label")
    run = fit(
        create_model("logistic_regression", in_features=1, num_classes=2), table, epochs=1, out=tmp_path / "table"
    )
    code, _, err = gradus("generate", str(run.path))
    assert (
        code == 2
        and "tabular-classification, which makes nothing new; runs of language-modeling and picture-generation do"
        in err
    )
    with pytest.raises(UserError, match="only language models"):
        run.generate("ab")


def test_a_module_of_ones_own_without_a_state_reads_all_again(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(9, 16), torch.nn.Linear(16, 9))  # sees one token
    run = fit(
        model,
        texts(["abcde"] * 60, True),
        task_options={"tokenizer": "character", "length": 8},
        epochs=10,
        learning_rate=0.1,
        out=tmp_path / "r",
    )
    loaded = load_run(run.path, model)
    assert loaded.generate("a", length=9, temperature=0) == ["abcdeabcde"]
    _, chances = next(write_on(loaded, "a", 1, Sampling()))
    assert chances.shape == (9,) and chances.sum().item() == pytest.approx(1)
