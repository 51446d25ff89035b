"""Tags and what mending a kind of mistake gives at most; wrong labels and whether they matter; is one run better?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from error_tables_made import answers, table_of

from gradus.doctor.better import mcnemar, over_seeds, pair
from gradus.doctor.case import NotHere
from gradus.doctor.held_out_labels import judge_labels, supported, sure_disagreements
from gradus.doctor.tagging import Sheet, ask_tags, ceilings, draw_sheet, read_sheet, write_sheet
from gradus.errors import UserError
from gradus.look.measures import wilson_interval


def tagged(dogs: int) -> Sheet:
    return Sheet(
        ("dog", "blurry"), [{"row": "test:0", "error": "1", "dog": "1" if i < dogs else ""} for i in range(100)]
    )


@pytest.mark.parametrize(("dogs", "left"), [(5, 0.095), (50, 0.05)])
def test_the_cat_detector_of_the_course_notes(dogs: int, left: float):
    """Course notes §3.2.1: 10 % error, 5 or 50 dogs among a hundred mistakes."""
    found = ceilings(tagged(dogs), total=0.10)
    assert found[0].tag == "dog" and found[0].count == dogs and found[0].left == pytest.approx(left)
    assert found[0].left_interval.low < left < found[0].left_interval.high < 0.1
    assert found[1].tag == "blurry" and found[1].left == pytest.approx(0.10)


def test_where_mistakes_differ_in_size_the_interval_is_of_their_size():
    """One large mistake of ten: its tag has 85 % of the error, and Wilson's interval of 1 in 10 ends at 40 %."""
    rows = [{"row": f"v:{i}", "error": "1", "far": "", "none": ""} for i in range(9)]
    rows.append({"row": "v:9", "error": "50", "far": "1", "none": ""})
    far, none = ceilings(Sheet(("far", "none"), rows), total=1.0, mass=0.9)
    assert far.share == pytest.approx(50 / 59) and far.share in far.interval and far.interval.low < 0.2
    assert far.left in far.left_interval and far.left_interval.high <= 1
    assert none.share == 0 and none.interval.low == pytest.approx(0) and 0.2 < none.interval.high < 0.3
    generator = np.random.default_rng(0)
    many = [{"row": "v:0", "error": f"{1 + generator.random()}", "x": "1" if i < 30 else ""} for i in range(100)]
    (found,) = ceilings(Sheet(("x",), many), total=1.0)
    low, high = wilson_interval(30, 100)
    assert abs(found.interval.low - low) < 0.04 and abs(found.interval.high - high) < 0.04


def test_a_cell_that_is_no_error_is_named(tmp_path):
    path = tmp_path / "mistakes.csv"
    for cell in ("1,0", "-1", "nan", "much"):
        path.write_text(f'row,error,dog\nvalidation:3,1,\nvalidation:56,"{cell}",1\n', encoding="utf-8")
        with pytest.raises(UserError, match=f"row validation:56: expected a number .* received '{cell}'"):
            read_sheet(path)


def test_a_sheet_goes_to_a_file_and_back(tmp_path):
    table = table_of(np.arange(600) % 3 == 0)
    sheet = draw_sheet(table, ("dog",), seed=4)
    assert len(sheet.rows) == 100 and sheet.rows == draw_sheet(table, ("dog",), seed=4).rows
    assert all(int(row["row"].partition(":")[2]) % 3 == 0 and row["predicted"] == "dog" for row in sheet.rows)
    path = tmp_path / "doctor" / "mistakes.csv"
    write_sheet(sheet, path)
    assert read_sheet(path).tags == ("dog",) and len(read_sheet(path).looked_at) == 100
    write_sheet(draw_sheet(table), path)
    assert read_sheet(path).tags == ()  # three columns wait for a name
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(UserError, match="no column 'row'"):
        read_sheet(tmp_path / "other.csv")
    with pytest.raises(UserError, match="nothing to tag"):
        draw_sheet(table_of(np.zeros(5, bool)))
    with pytest.raises(UserError, match="--tags"):
        draw_sheet(table, ("row",))


def test_tags_are_asked_for_can_be_stopped_and_go_on(tmp_path):
    path = tmp_path / "mistakes.csv"
    sheet = draw_sheet(table_of(np.ones(4, bool)), ("dog", "blurry"))
    said: list[str] = []

    def typed(*keys: str):
        keys_left = list(keys)
        return lambda prompt: keys_left.pop(0)

    ask_tags(sheet, typed("1 2", "9", "b", "1", "", "q"), said.append, lambda filled: write_sheet(filled, path))
    kept = read_sheet(path)
    assert [row["dog"] + row["blurry"] for row in kept.looked_at] == ["1", ""] and len(kept.looked_at) == 2
    assert any("from 1 to 2" in line for line in said)
    done = ask_tags(kept, typed("2", "2"), said.append, lambda filled: None)
    assert len(done.looked_at) == 4 and ceilings(done, 0.2)[0].left == pytest.approx(0.1)


def test_the_three_cases_of_wrong_labels():
    """Course notes §3.2.3: 10 / 0.7, 2 / 0.7 (35 %, not 34), and two models of 2.1 and 1.9 with 0.6 % of wrong labels."""
    assert judge_labels([0.10], 0.007).decision == "ignore"
    case = judge_labels([0.02], 0.007)
    assert case.decision == "fix" and case.share == pytest.approx(0.35) and "35 %" in case.said
    assert judge_labels([0.021, 0.019], 0.006).decision == "cannot rank"
    assert judge_labels([0.10, 0.05], 0.006).decision == "ignore"
    with pytest.raises(ValueError, match="part of each"):
        judge_labels([0.01], 0.02)


def test_wrong_labels_are_where_the_network_is_as_sure_as_of_right_answers():
    generator = np.random.default_rng(0)
    certainty, right = 0.6 + 0.4 * generator.random(1_000), np.ones(1_000, bool)
    right[:40] = False  # mistakes at any certainty: labels
    rows = sure_disagreements(answers(certainty, right, 4))
    assert 10 <= len(rows) <= 30 and set(rows) <= set(range(40))
    certainty[:40] = 0.55  # mistakes where it is unsure: its own
    found = answers(certainty, right, 4)
    assert len(sure_disagreements(found)) == 0
    known, labels = np.array([[0.0], [0.1], [5.0]]), np.array([1, 1, 0])
    assert supported(np.array([0]), found, np.array([[0.05]]), known[:2], labels[:2]).tolist() == [
        0
    ]  # row 0: 0 taken for 1
    assert supported(np.array([0]), found, np.array([[5.0]]), known[2:], labels[2:]).tolist() == []


def test_mcnemar_is_the_binomial_of_one_half():
    assert mcnemar(0, 5) == pytest.approx(2 / 32) and mcnemar(3, 3) == 1 and mcnemar(0, 0) == 1
    assert mcnemar(10, 30) == mcnemar(30, 10) < 0.003


def test_better_needs_more_than_a_few_rows():
    wrong = np.zeros(1_000, bool)
    wrong[:100] = True
    a_little, much = wrong.copy(), wrong.copy()
    a_little[:3], much[:60] = False, False
    little = pair(table_of(wrong), table_of(a_little))
    assert little.difference == pytest.approx(-0.003) and little.chance > 0.05 and little.only_second == 3
    clear = pair(table_of(wrong), table_of(much))
    assert clear.chance < 1e-10 and clear.interval.high < 0 and clear.only_first == 0
    with pytest.raises(NotHere, match="same rows"):
        pair(table_of(wrong), table_of(wrong[:10]))


def test_models_of_different_targets_are_not_compared():
    wrong = np.arange(40) % 4 == 0
    first = table_of(wrong)
    with pytest.raises(NotHere, match="not asked the same"):
        pair(first, replace(first, given=lambda row: "mouse"))
    targets = np.random.default_rng(0).normal(size=(40, 1))
    numbers = replace(first, wrong=None, unit="off", values=targets)
    assert pair(numbers, replace(numbers, values=targets * (1 + 1e-7))).difference == 0  # rounded by another scale
    for other in (targets + 0.1, targets[::-1], np.tile(targets, 2)):
        with pytest.raises(NotHere, match="not asked the same"):
            pair(numbers, replace(numbers, values=other))
    with pytest.raises(NotHere, match="not asked the same"):
        pair(numbers, replace(numbers, unit="deviations off"))


def test_seeds_of_two_recipes():
    first = {seed: value for seed, value in enumerate((0.90, 0.91, 0.89))}
    found = over_seeds("accuracy", first, {5: 0.95, 6: 0.96, 7: 0.94})
    assert found.chance < 0.01 and not found.paired and found.means == pytest.approx((0.90, 0.95))
    assert over_seeds("accuracy", first, {5: 0.95, 6: 0.85, 7: 0.92}).chance > 0.3
    paired = over_seeds("accuracy", first, {0: 0.905, 1: 0.916, 2: 0.894})
    assert paired.paired and paired.chance < 0.02  # the spread between seeds is shared
    with pytest.raises(ValueError, match="two seeds"):
        over_seeds("accuracy", {0: 1.0}, {0: 1.0})
