"""Carried state: what the learner does is what a loop written by hand does, it survives being stopped, and never leaks."""

from __future__ import annotations

import itertools
import signal

import numpy as np
import pytest
import torch
from torch.nn import functional

from gradus.data.columns import Column, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.models import create_model
from gradus.recipes.execute import create_trainer
from gradus.recipes.experiment import prepare, train_settings
from gradus.recipes.recipe import Recipe
from gradus.stopping import Interrupted
from gradus.tasks.settings import TaskSettings
from gradus.train.carried import Carried
from gradus.train.devices import plan_device
from gradus.train.distributed import create_learner
from gradus.train.folder import RunFolder
from gradus.train.world import World

LENGTH = 6


def dataset(rows: int = 60) -> Dataset:
    random = np.random.default_rng(0)
    lines = ["".join(random.choice(list("abcde"), 11)) + "\n" for _ in range(rows)]
    split = Split({"text": Column(Text(), lines)}, NumberedRows.count("lines", rows))
    return Dataset(name="lines", source="lines", splits={"train": split}, target="text", ordered=True)


def experiment(streams: int, **training):
    options = {"tokenizer": "character", "length": LENGTH, "streams": streams}
    recipe = Recipe(
        task=TaskSettings(name="language-modeling", options=options),
        train=train_settings(
            **{"epochs": 2, "learning_rate": 0.1, "optimizer": "sgd", "checkpoint_seconds": 0.0} | training
        ),
    )
    torch.manual_seed(3)
    model = create_model("recurrent_lm", num_tokens=10, hidden_size=8, embedding_size=5, layers=2)
    return prepare(recipe, dataset(), model, measure=False)


@pytest.mark.parametrize("streams", [1, 4])
def test_it_is_the_loop_that_one_would_write(streams):
    made = experiment(streams)
    torch.manual_seed(3)
    by_hand = create_model("recurrent_lm", num_tokens=10, hidden_size=8, embedding_size=5, layers=2)
    optimizer = torch.optim.SGD(by_hand.parameters(), 0.1)
    text = "".join(made.dataset["train"]["text"])
    ids = torch.from_numpy(made.task.encoder.encode(text).astype(np.int64))
    part = -(-(len(ids) - 1) // streams)
    for _ in range(2):
        state = None
        for at in range(0, part, LENGTH):
            columns = []
            for stream in range(streams):
                begin, end = stream * part + at, min((stream + 1) * part, len(ids) - 1)
                row = torch.zeros(2, LENGTH, dtype=torch.int64)
                upto = max(min(end - begin, LENGTH), 0)
                inputs = ids[begin : begin + LENGTH]
                row[0, : len(inputs)] = inputs
                row[1, :upto] = ids[begin + 1 : begin + 1 + upto]
                columns.append(row)
            inputs, targets = torch.stack(columns, dim=1)
            outputs, state = by_hand.continued(inputs, state)
            loss = functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            state = [one.detach() for one in state]
    create_trainer(made).fit()
    for (name, mine), theirs in zip(made.model.named_parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6), name


def test_a_run_that_was_stopped_within_an_epoch_goes_on_to_the_same_bits(tmp_path):
    whole = experiment(4)
    create_trainer(whole).fit()
    folder = RunFolder.create(tmp_path / "run")
    stopped = create_trainer(experiment(4), folder)
    step, made = stopped.learner.step, itertools.count()

    def stop_at_the_tenth(batch):
        if next(made) == 10:
            signal.raise_signal(signal.SIGTERM)
        return step(batch)

    stopped.learner.step = stop_at_the_tenth  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        stopped.fit()
    assert stopped.step == 11 < stopped.source.steps
    again = experiment(4)
    trainer = create_trainer(again, folder)
    trainer.restore()
    assert trainer.learner.state is not None and any(part.any() for part in trainer.learner.state)
    trainer.fit()
    for mine, theirs in zip(again.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_gradients_reach_back_to_the_begin_of_the_batch_and_no_further():
    """Truncated back-propagation: of the first batch's embedding nothing is learnt from the second batch's loss."""
    made = experiment(2)
    learner = create_learner(made.model, made.task, made.recipe.train, plan_device("cpu"), World(0, 1))
    rows = {name: tensor[:2] for name, tensor in made.tensors["train"].items()}
    first = {**rows, "inputs": torch.full((2, LENGTH), 9)}
    learner.step(first)
    assert learner.state is not None and not any(part.requires_grad for part in learner.state)
    made.model.zero_grad()
    inputs = torch.tensor([[4, 5, 6, 7, 8, 4]] * 2)
    vectors: list[torch.Tensor] = []

    def keep(module, arguments, output):
        output.retain_grad()
        vectors.append(output)

    handle = made.model.embedding.register_forward_hook(keep)
    outputs, _ = made.model.continued(inputs, learner.state)
    outputs[:, -1].sum().backward()
    handle.remove()
    assert bool((vectors[0].grad.abs().sum(dim=2) > 0).all())  # all `length` steps of the batch
    assert not made.model.embedding.weight.grad[9].any()  # and none of the one before


def test_the_state_is_forgotten_where_another_text_begins():
    made = experiment(4)
    trainer = create_trainer(made)
    learner = trainer.learner
    assert isinstance(learner, Carried)
    batches = [trainer.source.batch(0, step) for step in range(3)]
    held = [made.tensors["validation"]]
    before = learner.evaluate([{name: part[:4] for name, part in held[0].items()}])
    for batch in batches:
        learner.step(batch)
    state = [part.clone() for part in learner.state]
    made.model.load_state_dict(experiment(4).model.state_dict())
    after = learner.evaluate([{name: part[:4] for name, part in held[0].items()}])
    assert before[0]["loss"] == after[0]["loss"]  # what training carried is not seen in validation,
    assert all(torch.equal(one, other) for one, other in zip(state, learner.state, strict=True))  # nor the other way
    learner.begin_epoch(1)
    assert learner.state is None


def test_several_processes_are_refused():
    made = experiment(4)
    with pytest.raises(UserError, match="not shared: train with one process"):
        create_learner(made.model, made.task, made.recipe.train, plan_device("cpu"), World(0, 2))


def test_accumulation_is_refused():
    with pytest.raises(UserError, match="accumulate"):
        create_trainer(experiment(4, accumulate=2))
