"""The bench of the doctor: does it name what was planted, and is it silent where nothing is wrong?

    python benchmarks/doctor/run.py                     all planted faults and all healthy runs
    python benchmarks/doctor/run.py --only shared-rows wine
    python benchmarks/doctor/run.py --healthy           the healthy runs alone
    python benchmarks/doctor/run.py --table             what was found the last time, nothing run

A fault counts as named where one of its kinds is that of the first or second finding; a fault or a warning of a healthy run is a
false alarm. Trained runs are kept in the folder, and examined anew where the doctor's files have changed since (--retrain:
trained anew). Each answer is one line of results.jsonl, so that an interrupted bench goes on. Needs GRADUS_DATA for all but
the data sets that scikit-learn brings; what cannot be read is told and counts as missed.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from faults import FAULTS
from healthy import HEALTHY
from pasted import refusal
from subject import Subject

from gradus.doctor.examine import Diagnosis, examine
from gradus.errors import UserError
from gradus.recipes.execute import train_recipe
from gradus.train.trainer import TrainingStopped

Result = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]


def made(name: str) -> Subject:
    return (FAULTS[name] if name in FAULTS else HEALTHY[name]).make()


def trained_run(subject: Subject, path: Path) -> Path:
    """The run's folder, trained unless it was before. A training that stops by itself leaves its run too."""
    stopped = path.with_suffix(".stopped")
    if not ((path / "evaluation.json").exists() or stopped.exists()):
        try:
            train_recipe(subject.recipe, path, dataset=subject.dataset, model=subject.made_model())
        except TrainingStopped as reason:
            stopped.write_text(str(reason), encoding="utf-8")
    return path


def diagnose(subject: Subject, path: Path, seconds: dict[str, float]) -> Diagnosis:
    """Trains and examines; `seconds` is told what took how long."""
    began = time.perf_counter()
    with subject.patched():
        examined: Any = trained_run(subject, path) if subject.trained else subject.recipe
        seconds["training"] = time.perf_counter() - began
        marks = [("", time.perf_counter())]
        diagnosis = examine(
            examined,
            dataset=subject.dataset,
            model=subject.made_model(),
            say=lambda about: marks.append((about, time.perf_counter())),
        )
        marks.append(("", time.perf_counter()))
    seconds["examining"] = marks[-1][1] - marks[0][1]
    for (about, begun), (_, ended) in itertools.pairwise(marks):
        seconds[about or "reading"] = ended - begun
    return diagnosis


def judge(name: str, folder: Path, digest: str) -> Result:
    """One fault or healthy run: what was found, as a line of the results."""
    seconds: dict[str, float] = {}
    result: Result = {"name": name, "digest": digest, "findings": [], "error": ""}
    try:
        subject = made(name)
        diagnosis = diagnose(subject, folder / name, seconds)
        result["findings"] = [one.to_json() for one in diagnosis.findings]
        result["skipped"] = diagnosis.skipped
        result["refused"] = refused(diagnosis, subject)
    except UserError as error:
        result["error"] = str(error)
    except Exception:  # a check that breaks is a miss, and the bench goes on
        result["error"] = traceback.format_exc(limit=-3)
    metrics = folder / name / "evaluation.json"
    if metrics.exists():
        result["metrics"] = json.loads(metrics.read_text(encoding="utf-8"))["metrics"]
    result["seconds"] = {about: round(value, 2) for about, value in seconds.items()}
    return result


def refused(diagnosis: Diagnosis, subject: Subject) -> list[str]:
    """Which commands of the findings that are read first would not work, and why."""
    first = [*diagnosis.findings[:2], *diagnosis.alarms[2:]]
    if subject.model is not None:  # no command line can make it: the remedy may be in words
        first = [one for one in first if one.command or not one.others]
    reasons = [(one.kind, one.command, refusal(one.command, subject)) for one in first]
    return [f"{kind}: `{command}`: {reason}" for kind, command, reason in reasons if reason]


def is_named(result: Result) -> bool:
    return any(one["kind"] in FAULTS[result["name"]].kinds for one in result["findings"][:2])


def alarms_of(result: Result) -> list[dict[str, Any]]:
    return [one for one in result["findings"] if one["level"] != "advice"]


def doctor_digest() -> str:
    """Changes with the doctor's files and with those of this bench."""
    files = sorted([*(ROOT / "gradus" / "doctor").rglob("*.py"), *Path(__file__).parent.glob("*.py")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def told(result: Result) -> str:
    """One line for the terminal."""
    name = result["name"]
    found = [f"{one['kind']}: {one['told']}" for one in result["findings"][:2]] or ["nothing"]
    seconds = f"{result['seconds'].get('training', 0):.0f} + {result['seconds'].get('examining', 0):.0f} s"
    if result["error"]:
        found = [f"ERROR {result['error'].strip().splitlines()[-1]}"]
    if name in FAULTS:
        fault = FAULTS[name]
        verdict = "named " if is_named(result) else "MISSED"
        head = f"{verdict} {name} ({fault.on}: {fault.planted}; {' or '.join(fault.kinds)}; {seconds})"
    else:
        alarms = alarms_of(result)
        found = [f"{one['kind']}: {one['told']}" for one in alarms] or (found if result["error"] else [])
        healthy = HEALTHY[name]
        head = f"{'ALARM ' if found else 'silent'} {name} ({healthy.on}: {healthy.about}; {seconds})"
    found += [f"command refused, {line}" for line in result.get("refused", [])]
    return "\n".join([head, *(f"         {line}" for line in found)])


def summary(results: dict[str, Result]) -> str:
    faults = [results[name] for name in FAULTS if name in results]
    healthy = [results[name] for name in HEALTHY if name in results]
    missed = [one["name"] for one in faults if not is_named(one)]
    alarmed = [one["name"] for one in healthy if alarms_of(one) or one["error"]]
    lines = [f"named: {len(faults) - len(missed)} of {len(faults)} planted faults"]
    lines += [f"missed: {', '.join(missed)}"] if missed else []
    lines += [f"false alarms: {len(alarmed)} of {len(healthy)} healthy runs"]
    lines += [f"alarmed: {', '.join(alarmed)}"] if alarmed else []
    count = sum(len(one.get("refused", [])) for one in [*faults, *healthy])
    lines += [f"commands that would not work: {count}"] if count else []
    took = [one["seconds"].get("examining", 0.0) for one in [*faults, *healthy]]
    return "\n".join([*lines, f"an examination took {max(took, default=0):.0f} s at most, {sum(took):.0f} s in all"])


def markdown(results: dict[str, Result]) -> str:
    """The tables of docs/doctor.md."""
    lines = [
        "| fault | data | planted | expected | first finding | second finding | named |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, fault in FAULTS.items():
        if name in results:
            found = [one["kind"] for one in results[name]["findings"][:2]] + ["–", "–"]
            named = "yes" if is_named(results[name]) else "**no**"
            cells = (name, fault.on, fault.planted, ", ".join(fault.kinds), found[0], found[1], named)
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| healthy run | data | alarms | advice |", "|---|---|---|---|"]
    for name, healthy in HEALTHY.items():
        if name in results:
            alarms = ", ".join(one["kind"] for one in alarms_of(results[name])) or "none"
            advice = ", ".join(one["kind"] for one in results[name]["findings"] if one["level"] == "advice") or "none"
            lines.append(f"| {healthy.about} | {healthy.on} | {alarms} | {advice} |")
    return "\n".join(lines)


def read_results(file: Path) -> dict[str, Result]:
    """name -> its last line."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {one["name"]: one for one in map(json.loads, lines)}


def judged(names: list[str], folder: Path, digest: str, jobs: int) -> Iterator[Result]:
    if jobs == 1:
        yield from (judge(name, folder, digest) for name in names)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(judge, name, folder, digest) for name in names]
        yield from (one.result() for one in as_completed(waiting))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these faults or healthy runs")
    parser.add_argument("--faults", action="store_true", help="the planted faults alone")
    parser.add_argument("--healthy", action="store_true", help="the healthy runs alone")
    parser.add_argument("--folder", type=Path, default=Path("runs/doctor"), help="where runs and results are kept")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--retrain", action="store_true", help="train anew what was trained before")
    parser.add_argument("--again", action="store_true", help="examine anew what was examined before")
    parser.add_argument("--table", action="store_true", help="print the tables of what was found, and end")
    arguments = parser.parse_args()
    both = arguments.faults == arguments.healthy
    names = [*(FAULTS if both or arguments.faults else ()), *(HEALTHY if both or arguments.healthy else ())]
    unknown = set(arguments.only or ()) - set(names)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    names = arguments.only or names
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    file, digest = folder / "results.jsonl", doctor_digest()
    results = read_results(file)
    if arguments.table:
        print(markdown({name: one for name, one in results.items() if name in names}))
        return
    if arguments.retrain:
        forget(folder, names)
    again = arguments.again or arguments.retrain
    left = [name for name in names if again or results.get(name, {}).get("digest") != digest]
    for result in judged(left, folder, digest, arguments.jobs):
        results[result["name"]] = result
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(result) + "\n")
        print(told(result), flush=True)
    print(summary({name: results[name] for name in names}))


def forget(folder: Path, names: list[str]) -> None:
    """Moves runs of these names aside, so that they are trained anew."""
    for name in names:
        (folder / f"{name}.stopped").unlink(missing_ok=True)
        if (folder / name).exists():
            (folder / name).rename(folder / f"{name}.before-{time.time_ns()}")


if __name__ == "__main__":
    main()
