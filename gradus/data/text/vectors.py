"""Files of word vectors: GloVe's text, word2vec's text (a first line with both sizes) and word2vec's binary form; .gz of each.

Which it is is seen from its beginning. A file is read once from front to back and only the vectors that are wanted are kept, so
that of the 400 000 words of a published file the memory holds those of a vocabulary.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Literal

import numpy as np

from gradus.errors import UserError, did_you_mean
from gradus.files import write_atomic

VectorFormat = Literal["glove", "word2vec", "word2vec-binary"]
LONGEST_WORD = 10_000  # bytes: beyond it a file is no file of word vectors


@dataclass(frozen=True)
class WordVectors:
    """words: N of them, the most frequent first where that is known; matrix: (N, d) float32; where: they came from.
    special: how many of the first words are none (padding, unknown), which no look shows; whole: words in the file in all."""

    words: tuple[str, ...]
    matrix: np.ndarray
    where: str = "these vectors"
    special: int = 0
    whole: int = 0

    @property
    def size(self) -> int:
        """Numbers a vector."""
        return self.matrix.shape[1]

    @cached_property
    def places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words) if place >= self.special}

    @cached_property
    def units(self) -> np.ndarray:
        """(N, d) float64: the vectors brought to length 1; zero vectors stay as they are."""
        wide = self.matrix.astype(np.float64)
        return wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)

    def __contains__(self, word: str) -> bool:
        return word in self.places

    def place(self, word: str) -> int:
        """The row of a word. Raises `UserError` naming near ones where it has none."""
        if word not in self.places:
            raise UserError(f"{self.where} has no vector of '{word}'{did_you_mean(word, self.places)}")
        return self.places[word]

    def __getitem__(self, word: str) -> np.ndarray:
        """(d,) float64."""
        return self.matrix[self.place(word)].astype(np.float64)


def read_vectors(path: str | Path, wanted: Collection[str] | None = None) -> WordVectors:
    """The vectors of a file, of the `wanted` words only (None: all), in the order of the file; of a word twice there the first.

    Raises `UserError` where it cannot be read, naming the line (of binary files: which word).
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file of word vectors")
    kept = None if wanted is None else set(wanted)
    words: dict[str, None] = {}
    rows: list[np.ndarray] = []
    whole = 0
    try:
        with _open(path) as file:
            for word, numbers in _records(path, file):
                whole += 1
                text = word.decode("utf-8", errors="replace")
                if (kept is None or text in kept) and text not in words:
                    rows.append(numbers())
                    words[text] = None
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if not whole:
        raise UserError(f"{path}: there are no word vectors in it")
    matrix = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
    return WordVectors(tuple(words), matrix, str(path), whole=whole)


def write_vectors(vectors: WordVectors, path: str | Path, form: VectorFormat = "word2vec") -> None:
    """Writes all words but the special ones. Text has nine digits, which give every float32 back. Raises `UserError` for a word
    that holds white space, which these files cannot say."""
    words, matrix = vectors.words[vectors.special :], vectors.matrix[vectors.special :].astype("<f4")
    for word in words:
        if not word or any(character.isspace() for character in word):
            raise UserError(f"{path}: '{word}' holds white space, by which files of word vectors end a word")
    lines = [] if form == "glove" else [f"{len(words)} {matrix.shape[1]}\n".encode()]
    for word, row in zip(words, matrix, strict=True):
        if form == "word2vec-binary":
            lines.append(word.encode() + b" " + row.tobytes() + b"\n")
        else:
            lines.append(f"{word} {' '.join(f'{number:.9g}' for number in row.tolist())}\n".encode())
    content = b"".join(lines)
    write_atomic(Path(path), gzip.compress(content) if Path(path).suffix == ".gz" else content)


Record = tuple[bytes, Callable[[], np.ndarray]]  # a word, and what reads its numbers where they are wanted


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _records(path: Path, file: IO[bytes]) -> Iterator[Record]:
    first = file.readline(2**20)
    fields = first.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        if len(fields) < 2:
            raise UserError(f"{path}, line 1: expected a word and its numbers, or how many words and numbers there are")
        size = len(fields) - 1
        yield _of_line(path, 1, first, size)
        yield from _lines(path, file, 2, size)
        return
    count, size = int(fields[0]), int(fields[1])
    if not size:
        raise UserError(f"{path}, line 1: vectors of no numbers")
    with _open(path) as ahead:
        ahead.readline()
        is_text = _is_printable(ahead.readline(LONGEST_WORD + 32 * size))
    if is_text:
        yield from _of_header(path, count, _lines(path, file, 2, size))
    else:
        yield from _of_header(path, count, _binary(path, file, count, size))


def _of_header(path: Path, count: int, records: Iterator[Record]) -> Iterator[Record]:
    """The records, of which the header has told the number."""
    found = 0
    for record in records:
        found += 1
        yield record
    if found != count:
        raise UserError(f"{path}: its first line tells of {count:,} words, but there are {found:,}")


def _lines(path: Path, file: IO[bytes], first: int, size: int) -> Iterator[Record]:
    for number, line in enumerate(file, first):
        if line.strip():
            yield _of_line(path, number, line, size)


def _of_line(path: Path, number: int, line: bytes, size: int) -> Record:
    """A word may hold spaces itself (as `. . .` of the largest GloVe file): what is left of the last `size` fields."""
    parts = line.rstrip().split(b" ")
    if len(parts) <= size:
        raise UserError(f"{path}, line {number}: expected a word and {size} numbers, received {len(parts) - 1}")

    def numbers() -> np.ndarray:
        try:
            found = np.array(parts[-size:], dtype=np.float32)
        except ValueError:
            bad = next(part for part in parts[-size:] if not _are_numbers([part]))
            word = b" ".join(parts[:-size]).decode("utf-8", errors="replace")
            raise UserError(
                f"{path}, line {number}: '{bad.decode(errors='replace')}' is no number (word '{word}')"
            ) from None
        if not np.isfinite(found).all():
            raise UserError(f"{path}, line {number}: a number is not finite")
        return found

    return b" ".join(parts[:-size]), numbers


def _binary(path: Path, file: IO[bytes], count: int, size: int) -> Iterator[Record]:
    for number in range(1, count + 1):
        word = bytearray()
        while (character := file.read(1)) != b" ":
            if not character or len(word) > LONGEST_WORD:
                raise UserError(f"{path}, word {number} of {count:,}: the file ends or is no word2vec file")
            word += character
        content = file.read(4 * size)
        if len(content) < 4 * size:
            raise UserError(f"{path}, word {number} of {count:,}: the file ends within its vector")
        yield bytes(word).lstrip(b"\n"), _unpack(path, number, content)
    if file.read().strip():
        raise UserError(f"{path}: there is more in it than the {count:,} words that its first line tells of")


def _unpack(path: Path, number: int, content: bytes) -> Callable[[], np.ndarray]:
    def numbers() -> np.ndarray:
        found = np.frombuffer(content, dtype="<f4").astype(np.float32)
        if not np.isfinite(found).all():
            raise UserError(f"{path}, word {number}: a number is not finite")
        return found

    return numbers


def _is_printable(line: bytes) -> bool:
    """Whether a line is text: four bytes of a float32 hardly ever are."""
    try:
        return line.decode("utf-8").strip().replace("\t", " ").isprintable()
    except UnicodeDecodeError:
        return False


def _are_numbers(fields: Sequence[bytes]) -> bool:
    try:
        [float(field) for field in fields]
    except ValueError:
        return False
    return bool(fields)
