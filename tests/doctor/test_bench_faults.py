"""The bench of the doctor: its table is sound, its faults are what they say, and the quickest of them are named."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "doctor"))

import networks
import patches
import planted_data
from faults import FAULTS
from healthy import HEALTHY
from pasted import refusal
from subject import cut, labels_of, relabelled, small, subject

from gradus.doctor.case import Case
from gradus.doctor.examine import examine
from gradus.doctor.finding import KINDS
from gradus.recipes.experiment import prepare
from gradus.train.source import Resident

SET_BY_THE_ISSUE = 31


def wine_with(model, **training):
    return subject(small("wine", 178), model, epochs=5, **training)


QUICK = {
    "zero-weights": lambda: wine_with("mlp", options={"hidden": [16], "initialization": "zeros"}),
    "weights-times-10": lambda: wine_with(lambda: networks.perceptron(13, 3, hidden=(64, 32), scale=10.0)),
    "target-in-a-code": planted_data.target_in_a_code,
}


@pytest.mark.parametrize("name", QUICK)
def test_the_quickest_faults_are_named_before_training(name):
    made = QUICK[name]()
    found = examine(made.recipe, dataset=made.dataset, model=made.made_model()).findings
    assert set(FAULTS[name].kinds) & {one.kind for one in found[:2]}, [one.told for one in found]


def test_nothing_is_wrong_with_a_sound_recipe():
    made = HEALTHY["wine"].make()
    assert examine(made.recipe, dataset=made.dataset).alarms == []


def test_every_fault_is_looked_for_under_kinds_that_exist():
    assert len(FAULTS) >= SET_BY_THE_ISSUE and len(HEALTHY) >= 20
    assert not set(FAULTS) & set(HEALTHY)
    assert len({fault.make for fault in FAULTS.values()}) == len(FAULTS)
    for name, fault in FAULTS.items():
        assert 1 <= len(fault.kinds) <= 3 and set(fault.kinds) <= set(KINDS), name
        assert {KINDS[kind].level for kind in fault.kinds} != {"advice"} or name in ("too-large", "too-small"), name


def test_labels_are_planted_as_said():
    labels = np.repeat(np.arange(10), 500)
    assert (planted_data.wrong_labels(labels, 0.2, 10) != labels).mean() == pytest.approx(0.2, abs=0.02)
    some = planted_data.swapped(labels, 3, 8, 0.4)
    assert set(np.unique(labels[some != labels])) == {3, 8}
    assert (some != labels).sum() == pytest.approx(400, abs=50)
    wine = small("wine", 178)
    assert (labels_of(relabelled(wine, lambda found: (found + 1) % 3), "train") != labels_of(wine, "train")).all()


def test_rows_of_training_stand_in_test():
    dataset = planted_data.with_training_rows_in_test(cut(small("wine", 178), test=0.3), 20)
    train, test = ({tuple(split.row(i).values()) for i in range(len(split))} for split in dataset.splits.values())
    assert len(train & test) == 20 and len(test) == 53


def test_gradients_are_kept_while_the_patch_lasts():
    made = subject(small("wine", 178), "mlp", epochs=1)
    learner = Case(prepare(made.recipe, made.dataset, measure=False), "wine").fresh_trainer().learner
    batch = {"inputs": torch.randn(8, 13), "targets": torch.arange(8) % 3}

    def gradient():
        learner._gradients(batch)
        return learner.parameters[0].grad.clone()

    clean = gradient()
    with patches.gradients_not_cleared():
        torch.testing.assert_close(gradient(), 2 * clean)
    torch.testing.assert_close(gradient(), clean)


def test_rows_come_in_their_order_while_the_patch_lasts():
    tensors = {"inputs": torch.arange(50)}
    with patches.rows_in_file_order():
        assert Resident(tensors, 10).order(0).tolist() == list(range(50))
    assert Resident(tensors, 10).order(0).tolist() != list(range(50))


def test_networks_have_the_mistakes_they_are_named_after():
    rows = torch.randn(6, 1, 8, 8)
    torch.manual_seed(0)
    norms = networks.NormsStayInTraining(1, 8, 3).eval()
    assert not torch.allclose(norms(rows)[:2], norms(rows[:2]), atol=1e-3)
    assert torch.allclose(networks.SoftmaxAtTheEnd(1, 8, 3)(rows).sum(dim=1), torch.ones(6))
    drops = networks.DropoutAlways(1, 8, 3).eval()
    assert not torch.equal(drops(rows), drops(rows))
    cut_off = networks.DetachedBranch(1, 8, 3)
    cut_off(rows).sum().backward()
    assert all(parameter.grad is None for parameter in cut_off.branch.parameters())
    dead = networks.perceptron(64, 3, bias=-6.0)
    assert (dead[:3](rows) == 0).all()


def test_a_command_that_would_be_refused():
    made = subject(small("wine", 178), "mlp", epochs=1)
    assert refusal("gradus train --data wine --set train.epochs=3", made) == ""
    assert "unknown metric" in refusal("gradus train --data wine --set train.monitor=acuracy", made)
    assert "no command of gradus" in refusal("python train.py", made)
    assert refusal("gradus trian wine", made)
