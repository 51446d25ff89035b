"""Times of tables: how they are written, their order, step, gaps, several series, and where the splits are cut."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gradus.data.clock import fill_gaps, sentinels
from gradus.data.columns import Label, Number, Time
from gradus.data.load import DataSettings, read_data
from gradus.data.splits import complete_splits, rolling_origin
from gradus.errors import UserError


def table(path, times, *, header="time,heat", more=""):
    rows = [f"{time},{row}{more}" for row, time in enumerate(times)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def read(path, **settings):
    return read_data(DataSettings(source=str(path), target="heat", time="time", **settings))


def hours(count, start="2010-01-01"):
    return [str(np.datetime64(start, "s") + np.timedelta64(3600 * n, "s")).replace("T", " ") for n in range(count)]


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (["2010-01-31", "2010-02-01"], ["2010-01-31", "2010-02-01"]),
        (["2010/1/31 9:05", "2010/1/31 10:05"], ["2010-01-31T09:05", "2010-01-31T10:05"]),
        (["2010-01-31T23:00:00Z", "2010-02-01T00:00:00Z"], ["2010-01-31T23:00", "2010-02-01T00:00"]),
        (["2010-01-31T23:00:00+02:00", "2010-02-01T00:00:00+02:00"], ["2010-01-31T21:00", "2010-01-31T22:00"]),
        (["03.04.2010 00:10:00", "03.04.2010 00:20:00"], ["2010-04-03T00:10", "2010-04-03T00:20"]),
        (["12/04/2010", "13/04/2010"], ["2010-04-12", "2010-04-13"]),
        (["04/12/2010", "04/13/2010"], ["2010-04-12", "2010-04-13"]),
        (["04/13/2010 11:00 AM", "04/13/2010 12:00 PM"], ["2010-04-13T11:00", "2010-04-13T12:00"]),
        (["1949-01", "1949-02"], ["1949-01-01", "1949-02-01"]),
        (["20100131", "20100201"], ["2010-01-31", "2010-02-01"]),
        (["1264978800", "1264982400"], ["2010-01-31T23:00", "2010-02-01T00:00"]),
        (["1264978800000", "1264982400000"], ["2010-01-31T23:00", "2010-02-01T00:00"]),
        (["1700", "1701"], ["1700-01-01", "1701-01-01"]),
    ],
)
def test_times_are_read_as_people_write_them(tmp_path, written, read_as):
    found = read(table(tmp_path / "a.csv", written))
    assert isinstance(found.types["time"], Time)
    assert found["train"]["time"].values.tolist() == np.array(read_as, dtype="datetime64[s]").tolist()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (["03/04/2010", "04/04/2010"], "row 2 of a.csv: in '03/04/2010' either number may be the day"),
        (["13/04/2010", "04/14/2010"], "row 2 of a.csv ('13/04/2010') the day stands first, in row 3"),
        (["2010-02-28", "2010-02-30"], "row 3 of a.csv: column 'time' holds 2010-02-30 00:00:00, which the calendar"),
        (["2010-02-28", "tomorrow"], "row 3 of a.csv: column 'time' holds 'tomorrow'"),
        (["2010-02-28", ""], "row 3 of a.csv: column 'time' tells the time of the row and is empty"),
        (["0", "1"], "row 2 of a.csv: column 'time' holds 0, which is no time"),
    ],
)
def test_what_is_no_time_or_two_is_refused_with_its_row(tmp_path, written, said):
    with pytest.raises(UserError) as error:
        read(table(tmp_path / "a.csv", written))
    assert said in str(error.value)


def test_columns_of_year_month_day_and_hour_are_one_time(tmp_path):
    rows = [f"{n},2010,1,{1 + n // 24},{n % 24}" for n in range(30)]
    (tmp_path / "a.csv").write_text("\n".join(["heat,year,month,day,hour", *rows]))
    found = read_data(DataSettings(source=str(tmp_path / "a.csv"), target="heat", time="year,month,day,hour"))
    assert list(found.types) == ["year,month,day,hour", "heat"]
    assert str(found["train"]["year,month,day,hour"].values[25]) == "2010-01-02T01:00:00"
    assert found.clock.seconds == 3600


def test_other_kinds_of_files_hold_times_too(tmp_path):
    import pyarrow
    import pyarrow.parquet

    times = np.array(hours(30), dtype="datetime64[us]")
    pyarrow.parquet.write_table(pyarrow.table({"time": times, "heat": np.arange(30.0)}), tmp_path / "a.parquet")
    lines = [{"time": str(time), "heat": n} for n, time in enumerate(times)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "a.json").write_text(json.dumps(lines))
    for name in ("a.parquet", "a.jsonl", "a.json"):
        assert read(tmp_path / name)["train"]["time"].values.tolist() == times.astype("datetime64[s]").tolist()


def test_rows_are_sorted_and_what_goes_back_is_named(tmp_path):
    times = hours(30)
    times[3], times[4] = times[4], times[3]
    found = read(table(tmp_path / "a.csv", times))
    assert found["train"]["heat"].values.tolist()[2:6] == [2, 4, 3, 5]
    assert any("1 went back, the first is row 6 of a.csv (2010-01-01 03:00:00)" in note for note in found.notes)
    assert any(note.endswith("one an hour") for note in found.notes)


def test_rows_that_are_there_twice_are_kept_once_and_two_that_differ_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    lines = ["time,heat", *(f"{time},{n}" for n, time in enumerate(hours(20)))]
    path.write_text("\n".join([*lines, lines[7]]))
    assert len(read(path)["train"]) == 20
    path.write_text("\n".join([*lines, lines[7] + "5"]))
    with pytest.raises(UserError, match=r"row 8 of a\.csv and row 22 of a\.csv are both of 2010-01-01 06:00:00"):
        read(path)


def test_a_target_that_is_missing_or_of_few_whole_numbers_keeps_its_rows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["time,heat", *(f"{t},{'' if n == 5 else n % 3}" for n, t in enumerate(hours(30)))]))
    found = read(path)
    assert isinstance(found.types["heat"], Number) and len(found["train"]) == 30
    assert np.flatnonzero(np.isnan(found["train"]["heat"].values)).tolist() == [5]


def test_gaps_are_refused_told_or_filled(tmp_path):
    times = hours(40)
    del times[10:13]
    path = table(tmp_path / "a.csv", times)
    with pytest.raises(UserError, match=r"between row 11 of a\.csv .2010-01-01 09:00:00. and the next row"):
        read(path, gaps="error")
    assert any("windows that cross one are left out" in note for note in read(path).notes)
    whole = fill_gaps(read(path, gaps="interpolate"))["train"]
    assert len(whole) == 40
    assert whole["heat"].values.tolist()[8:15] == [8, 9, 9.25, 9.5, 9.75, 10, 11]
    assert whole["time"].values.tolist() == np.array(hours(40), dtype="datetime64[s]").tolist()


def test_a_filled_gap_keeps_what_is_missing_beside_it(tmp_path):
    times = hours(12)
    del times[4:6]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["time,heat,wind", *(f"{t},{n},{'' if n == 6 else n}" for n, t in enumerate(times))]))
    wind = fill_gaps(read(path, gaps="interpolate"))["train"]["wind"].values
    assert np.flatnonzero(np.isnan(wind)).tolist() == [8]


def test_months_are_a_step(tmp_path):
    times = [f"{1949 + n // 12}-{1 + n % 12:02}" for n in range(36)]
    found = read(table(tmp_path / "a.csv", times))
    assert (found.clock.months, found.clock.seconds, found.clock.season()) == (1, 0, 12)
    assert found.clock.between(found["train"]["time"].values).tolist() == [1] * 35
    after = found.clock.after(np.datetime64("1951-12-01", "s"), np.array([1, 3]))
    assert [str(time)[:10] for time in after] == ["1952-01-01", "1952-03-01"]


def many(tmp_path):
    rows = [f"{time},{n + (100 if place == 'b' else 0)},{place}" for n, time in enumerate(hours(20)) for place in "ba"]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["time,heat,place", *rows]))
    return path


def test_series_are_sorted_apart_and_cut_at_one_moment(tmp_path):
    found = read(many(tmp_path), series="place")
    assert isinstance(found.types["place"], Label)
    assert found["train"]["heat"].values.tolist() == [*range(20), *range(100, 120)]
    split = complete_splits(found, 0.25, 0.2, 0, "heat")
    for name, expected in (("train", range(12)), ("validation", range(12, 16)), ("test", range(16, 20))):
        assert split[name]["heat"].values.tolist() == [*expected, *(100 + n for n in expected)]


def test_splits_may_begin_at_a_date_and_are_strictly_in_time(tmp_path):
    found = read(table(tmp_path / "a.csv", hours(100)))
    split = complete_splits(found, "2010-01-03", "2010-01-04 12:00", 0, "heat")
    assert [len(split[name]) for name in ("train", "validation", "test")] == [48, 36, 16]
    parts = [split[name]["time"].values for name in ("train", "validation", "test")]
    assert parts[0].max() < parts[1].min() and parts[1].max() < parts[2].min()
    with pytest.raises(UserError, match="a date such as 2014-07-01"):
        DataSettings(test="next week")


def test_origins_roll_through_the_test_rows(tmp_path):
    found = complete_splits(read(many(tmp_path), series="place"), 0, 0.4, 0, "heat")
    ends = []
    for origin in range(3):
        split = rolling_origin(found, 3, origin)
        train, test = split["train"]["time"].values, split["test"]["time"].values
        assert train.max() < test.min()
        assert split["train"]["heat"].values[len(train) // 2] == 100  # series stay in one piece
        ends.append(sorted(set(split["test"]["heat"].values)))
    assert sorted(heat for end in ends for heat in end) == [*range(12, 20), *range(112, 120)]


def test_a_sentinel_is_a_value_of_nines_far_from_the_others(tmp_path):
    assert sentinels(np.array([0.1, 5.0, -9999.0, 28.0, -9999.0])) == [(-9999.0, 2)]
    assert sentinels(np.array([0.1, 5.0, 999.0, 1013.0, 980.0])) == []
    path = table(tmp_path / "a.csv", hours(20), header="time,heat,wind", more=",3")
    path.write_text(path.read_text().replace("\n2010-01-01 05:00:00,5,3", "\n2010-01-01 05:00:00,5,-9999"))
    found = read(path, missing=-9999.0)
    assert np.flatnonzero(np.isnan(found["train"]["wind"].values)).tolist() == [5]
