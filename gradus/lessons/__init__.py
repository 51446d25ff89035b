"""Short programs that show one idea each: `gradus lesson NAME` runs one and writes a page of words, numbers and pictures.

A lesson is a file of this package with one function, `show(page)`, which puts onto the page what it says, in order. It runs
in seconds on a CPU, draws from fixed seeds, and is written to be read: the mathematics stands in the file or comes from
`gradus.reference`.
"""

from gradus.lessons.run import Result, run_lesson
from gradus.lessons.table import LESSONS, Lesson

__all__ = ["LESSONS", "Lesson", "Result", "run_lesson"]
