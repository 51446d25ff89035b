"""How measured numbers are told in a line: shares in per cent, the parts of a loss behind it."""

from __future__ import annotations

from gradus.train.observers import epoch_line, format_metric, metric_texts


def test_the_parts_of_a_loss_stand_behind_it_in_training_alone():
    record = {"train_loss": 1.25, "train_class_loss": 0.75, "train_box_loss": 0.5, "train_seconds": 3.0}
    record |= {"validation_loss": 2.0, "validation_map50": 0.851, "validation_box_loss": 1.0}
    assert metric_texts(record, "train") == ["loss 1.25 (class 0.75, box 0.5)"]
    assert metric_texts(record, "validation") == ["loss 2", "map50 85.10 %"]
    line = epoch_line(record | {"epoch": 3, "best": True}, 10)
    expected = "train loss 1.25 (class 0.75, box 0.5) | validation loss 2, map50 85.10 %  3.0 s  *"
    assert line == f"epoch  3/10  {expected}"


def test_shares_are_in_per_cent():
    for name in (
        "accuracy",
        "map50",
        "voc07_map50",
        "map",
        "map_small",
        "recall_at_10",
        "miou",
        "validation_boundary_f",
    ):
        assert format_metric(name, 0.5) == "50.00 %", name
    assert format_metric("loss", 0.5) == "0.5" and format_metric("mae", 0.5) == "0.5"
