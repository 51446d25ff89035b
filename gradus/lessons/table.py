"""The lessons by name, in the order in which they are best read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """One lesson of the table.

    module: its file in this package; title: what the page is called; shows: the idea in one line; books: the sections of
    the texts that it stands for, as `docs/books.md` names them
    """

    module: str
    title: str
    shows: str
    books: tuple[str, ...]


# subject -> name -> lesson
SUBJECTS: dict[str, dict[str, Lesson]] = {
    "Linear models and descent": {
        "linear-regression": Lesson(
            "linear_regression",
            "A line through ten points",
            "least squares and gradient descent find the same line, and what its error is",
            ("Plain Talk §1.2, §4.2",),
        ),
    },
}
LESSONS: dict[str, Lesson] = {name: lesson for lessons in SUBJECTS.values() for name, lesson in lessons.items()}
