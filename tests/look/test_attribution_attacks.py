"""Adversarial pictures against linear networks, where the smallest change is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_subject import picture_of, rows_of, small_convnet, subject_with
from torch import nn

from gradus.errors import UserError
from gradus.look.inside import attacks


def linear_subject(classes: int = 2, scale: float = 1.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, classes))
    with torch.no_grad():
        model[1].weight.mul_(scale)
    return subject_with(model)


def margin(subject, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """By how much class 0 leads (B,), and by how much one level in every channel can change that: all of two classes."""
    dense = subject.model[1]
    lead = subject.model(subject.prepare(pixels)) @ torch.tensor([1.0, -1.0])
    return lead.detach(), (dense.weight[0] - dense.weight[1]).abs().sum().detach() / 255


@pytest.mark.parametrize("steps", [1, 10])
def test_the_smallest_epsilon_of_a_linear_network_is_margin_over_the_sum_of_weights(steps: int):
    subject = linear_subject()
    with torch.no_grad():  # a narrow margin, so that no channel is cut off at 0 or 255
        picture = picture_of(12, 12)
        picture.pixels[:] = picture.pixels // 2 + 64
        pixels = torch.from_numpy(subject.pixels([picture])).float()
        lead, a_level = margin(subject, pixels)
        subject.model[1].bias[0] -= lead[0] - 10 * a_level
        lead, a_level = margin(subject, pixels)
    exact = float(lead[0] / a_level)
    assert abs(exact - 10) < 1e-2
    sight = attacks.adversarial(subject, [picture], steps=steps)
    assert exact <= sight.numbers["epsilon, one.png"] + 1e-3 and sight.numbers["epsilon, one.png"] < exact * 1.03
    assert sight.numbers["epsilon in whole levels, one.png"] in (10, 11)
    as_file = sight.panels[-1].pixels  # what is written is what turns the answer
    assert as_file.dtype == np.uint8 and as_file.shape == (12, 12, 3)
    after = subject.model(subject.prepare(torch.from_numpy(as_file)[None]))[0]
    assert after.argmax() == 1
    change = np.abs(as_file.astype(int) - subject.pixels([picture])[0])
    assert change.max() == sight.numbers["epsilon in whole levels, one.png"]


@pytest.mark.parametrize(("steps", "targeted"), [(1, False), (7, False), (7, True)])
def test_a_change_stays_within_epsilon_and_the_bytes(steps: int, targeted: bool):
    subject = subject_with(small_convnet())
    pixels = torch.from_numpy(np.stack([picture_of(12, 12, seed=seed).pixels for seed in range(3)]))
    epsilon, classes = torch.tensor([0.5, 3.0, 40.0]), torch.tensor([0, 1, 2])
    changed = attacks.perturb(subject, pixels, classes, epsilon, steps=steps, targeted=targeted)
    distance = (changed - pixels.float()).abs().amax((1, 2, 3))
    assert (distance <= epsilon + 1e-4).all() and (distance > 0.9 * epsilon).all()
    assert changed.min() >= 0 and changed.max() <= 255
    with torch.no_grad():
        before = subject.model(subject.prepare(pixels)).softmax(1).gather(1, classes[:, None])
        after = subject.model(subject.prepare(changed)).softmax(1).gather(1, classes[:, None])
    assert ((after > before) if targeted else (after < before)).all()


def test_a_network_that_is_sure_is_no_harder_to_turn():
    # the cross-entropy of a probability of exactly 1 has no gradient in float32; the log-odds have
    timid, sure = linear_subject(), linear_subject(scale=1e4)
    with torch.no_grad():
        sure.model[1].bias.copy_(timid.model[1].bias * 1e4)
        pixels = torch.from_numpy(timid.pixels([picture_of(12, 12)]))
        assert sure.model(sure.prepare(pixels)).softmax(1).max() == 1
    answer = sure.model(sure.prepare(pixels)).argmax(1)
    one = attacks.perturb(timid, pixels, answer, torch.tensor([2.0]))
    assert torch.equal(one, attacks.perturb(sure, pixels, answer, torch.tensor([2.0])))
    assert (one != pixels).all(-1).float().mean() > 0.9


def test_a_target_is_reached_or_said_not_to_be():
    subject = subject_with(small_convnet(), classes=("ant", "bee", "cat", "dog"))
    picture = picture_of(12, 12)
    answer = int(subject.model(subject.inputs([picture])).argmax())
    other = subject.classes[(answer + 1) % 4]
    sight = attacks.adversarial(subject, [picture], of_class=other, epsilon=60.0)
    assert any("changed by at most 60" in said for said in sight.said) and len(sight.panels) == 1
    same = attacks.adversarial(subject, [picture], of_class=subject.classes[answer])
    assert any("already" in said for said in same.said) and not same.panels
    with torch.no_grad():
        subject.model[8].weight.zero_()  # nothing of the picture counts any more
    stuck = attacks.adversarial(subject, [picture], of_class=subject.classes[int(subject.model[8].bias.argmin())])
    assert any("no change up to 64 levels" in said for said in stuck.said)
    with pytest.raises(UserError, match="steps must be at least 1"):
        attacks.adversarial(subject, [picture], steps=0)


def test_smallest_epsilon_brackets_and_bisects():
    for least in (0.01, 0.125, 0.3, 5.0, 63.0):
        found = attacks.smallest_epsilon(lambda epsilon, least=least: epsilon >= least)
        assert least <= found <= max(least * 1.03, 0.0102)
    assert attacks.smallest_epsilon(lambda epsilon: epsilon >= 65) is None


def test_the_robustness_of_a_linear_network_is_the_share_of_rows_with_margin():
    subject = linear_subject()
    with torch.no_grad():
        drawn = rows_of(60, 12, torch.zeros(60, dtype=torch.int64))("test").pixels // 2 + 64
        lead, a_level = margin(subject, drawn)
        subject.model[1].bias[0] -= lead.median()
        lead, a_level = margin(subject, drawn)
    labels = (lead < 0).long()
    levels = [float(lead.abs().quantile(share) / a_level) for share in (0.3, 0.8)]

    def rows(split: str):
        made = rows_of(60, 12, labels)(split)
        return type(made)(drawn, labels, made.names)

    from dataclasses import replace

    sight = attacks.robustness(replace(subject, rows=rows), count=60, epsilons=tuple(levels), steps=5)
    assert sight.numbers["accuracy at 0, fast gradient sign"] == 1
    for level in levels:
        exact = float((lead.abs() / a_level > level).float().mean())
        for way in ("fast gradient sign", "projected gradient, 5 steps"):
            assert sight.numbers[f"accuracy at {level:g}, {way}"] == pytest.approx(exact, abs=0.02)
    foreign = replace(
        subject,
        classes=("a", "b"),
        rows=lambda split: type(rows(split))(drawn, labels, rows(split).names, ("cat", "dog")),
    )
    with pytest.raises(UserError, match="other classes"):
        attacks.robustness(foreign)
