"""What the headers of many pictures say: which are broken, and whether the column is grey or colour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gradus.data.images import GREY_MODES, open_picture, orientation_of, size_of
from gradus.errors import UserError, quoted


@dataclass
class Headers:
    """Counts of the pictures looked at so far; `broken` has one sentence for each that cannot be opened, and `sizes` the
    (height, width) of each, None where it is broken. `turned`: the numbers of those that EXIF's orientation turns or mirrors."""

    total: int = 0
    grey: int = 0
    broken: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int] | None] = field(default_factory=list)
    turned: list[int] = field(default_factory=list)

    def look(self, sources: Iterable[bytes | Path], names: Iterable[str]) -> None:
        """Opens the header of each picture and counts it."""
        for source, name in zip(sources, names, strict=True):
            self.total += 1
            try:
                with open_picture(source, name) as picture:
                    self.grey += picture.mode in GREY_MODES
                    self.sizes.append(size_of(picture))
                    if orientation_of(picture) != 1:
                        self.turned.append(self.total - 1)
            except UserError as error:
                self.sizes.append(None)
                self.broken.append(str(error))

    @property
    def channels(self) -> int:
        """1 where every readable picture is grey, else 3."""
        readable = self.total - len(self.broken)
        return 1 if readable and self.grey == readable else 3

    @property
    def notes(self) -> list[str]:
        """A note where grey and colour are mixed."""
        if self.grey and self.channels == 3:
            return [f"{self.grey:,} of {self.total:,} pictures are grey, read as RGB"]
        return []

    def places_notes(self, what: str) -> list[str]:
        """Notes for data that tell of places on the pictures. what: boxes, masks or outlines."""
        if not self.turned:
            return self.notes
        many = f"{len(self.turned):,} of {self.total:,} pictures are turned by their EXIF orientation"
        return [*self.notes, f"{many}; their {what} are taken to be those of the turned pictures"]

    def raise_broken(self, path: Path) -> None:
        """Raises `UserError` where a picture of the data at `path` cannot be opened: how many, and the first."""
        if self.broken:
            raise UserError(
                f"{path}: {len(self.broken):,} of {self.total:,} pictures cannot be read, first {self.broken[0]}; "
                f"`gradus data scan {quoted(path)}` names them all"
            )
