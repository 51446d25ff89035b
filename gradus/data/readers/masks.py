"""Pictures and masks: the class of every pixel.

    images/ and masks/ (labels/, annotations/, gt/), also train/, val/, test/ in each of them
    train/images/ and train/masks/, and so for val and test
    train/ and trainannot/ (train_masks/, train_labels/), and so for val and test
    JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/train.txt, val.txt, as Pascal VOC

A mask belongs to the picture of its name (`a.png` or `a_mask.png` to `a.jpg`). Its pixels are class numbers, a palette's
indices, or colours that a colour map names. Pictures without a mask are left out, with a note.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gradus.data.columns import Column, Image, Mask
from gradus.data.dataset import SPLITS, Dataset, Mistake, Split
from gradus.data.images import EncodedImages, open_picture
from gradus.data.masks import Colour, EncodedMasks, decode_colours
from gradus.data.readers.class_maps import IGNORE, ClassMap, class_map, find_names, read_colours
from gradus.data.readers.folder import SPLIT_NAMES
from gradus.data.readers.objects import child, is_picture, refuse_mistakes, relative, require_train
from gradus.data.readers.pictures import Headers
from gradus.data.readers.voc import read_image_sets
from gradus.errors import UserError

PICTURES = ("images", "image", "imgs", "img", "pictures", "JPEGImages")
MASKS = ("masks", "mask", "labels", "label", "annotations", "annotation", "gt", "groundtruth", "SegmentationClass")
ENDINGS = ("", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_L", "_P")
BESIDE = ("annot", "_annot", "_masks", "_mask", "masks", "_labels", "labels", "_gt")
FEW = 0.01  # of the pixels: a larger share of unknown ones is a mistake, a smaller one a note


@dataclass
class Pairs:
    """(picture, mask) of each split, and the folders of masks, where files that name classes may lie."""

    by_split: dict[str, list[tuple[Path, Path]]] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)
    without: list[Path] = field(default_factory=list)  # pictures without a mask
    alone: int = 0  # masks without a picture

    def match(self, pictures: Path, masks: Path, split: str | None = None, names: list[str] | None = None) -> None:
        """Adds the pairs below two folders. split: theirs; None: that of the first folder below. names: only these, in order."""
        by_key = _by_key(masks)
        files = sorted(path for path in pictures.rglob("*") if is_picture(path) and masks not in path.parents)
        if names is not None:
            by_stem = {path.stem: path for path in files}
            files = [by_stem[name] for name in names if name in by_stem]
        used = 0
        for picture in files:
            inside = picture.relative_to(pictures).with_suffix("")
            own = split or SPLIT_NAMES.get(inside.parts[0].lower() if len(inside.parts) > 1 else "", "train")
            key = inside.as_posix()
            mask = next((by_key[key + ending] for ending in ENDINGS if key + ending in by_key), None)
            if mask is None:
                self.without.append(picture)
            else:
                used += 1
                self.by_split.setdefault(own, []).append((picture, mask))
        self.folders += [folder for folder in (masks, masks.parent) if folder not in self.folders]
        self.alone += 0 if names is not None else len(by_key) - used


def _by_key(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in sorted(folder.rglob("*"))
        if is_picture(path)
    }


def mask_folders(root: Path) -> list[tuple[str | None, Path, Path]]:
    """(split or None, pictures, masks) of a folder in one of the layouts; empty where it is in none."""
    pair = _pair(root)
    if pair:
        return [(None, *pair)]
    splits = [(SPLIT_NAMES.get(path.name.lower()), path) for path in sorted(root.iterdir()) if path.is_dir()]
    found: list[tuple[str | None, Path, Path]] = []
    for split, folder in splits:
        if split is None:
            continue
        masks = child(root, *(f"{folder.name}{ending}" for ending in BESIDE))
        if pair := _pair(folder):
            found.append((split, *pair))
        elif masks and _holds_pictures(masks):
            found.append((split, folder, masks))
    return found


def _pair(folder: Path) -> tuple[Path, Path] | None:
    pictures = child(folder, *PICTURES)
    masks = next((path for name in MASKS if (path := child(folder, name)) and _holds_pictures(path)), None)
    return (pictures, masks) if pictures and masks else None


def _holds_pictures(folder: Path) -> bool:
    return any(is_picture(path) for path in folder.rglob("*"))


def read_masks(root: Path, check: bool = True) -> Dataset:
    """Columns `image` and `mask` (the target). All masks are looked through, since their pixels say which classes there are.

    check: False leaves broken pictures, and mistakes, for the scan to name

    Raises `UserError` naming the file of what cannot be read.
    """
    root = Path(root)
    pairs, voc = Pairs(), (root / "SegmentationClass").is_dir()
    stems = _by_key(root / "SegmentationClass") if voc else {}
    sets = read_image_sets(root / "ImageSets" / "Segmentation", stems) if voc else {}
    for split, pictures, masks in mask_folders(root):
        for part, names in sets.items() or [(split, None)]:
            pairs.match(pictures, masks, part, names)
    found = {name: pairs.by_split[name] for name in SPLITS if pairs.by_split.get(name)}
    if not found:
        raise UserError(f"{root}: no picture has a mask of its name; expected images/a.jpg and masks/a.png")
    require_train(root, list(found))
    notes: list[str] = []
    if pairs.without:
        first = relative(pairs.without[0], root)
        notes.append(f"{len(pairs.without):,} pictures have no mask and were left out, first {first}")
    if pairs.alone:
        notes.append(f"{pairs.alone:,} masks have no picture and were left out")
    return _dataset(root, found, [root, *pairs.folders], notes, voc, check)


def _dataset(
    root: Path, found: dict[str, list[tuple[Path, Path]]], folders: list[Path], notes: list[str], voc: bool, check: bool
) -> Dataset:
    rows = [pair for split in found.values() for pair in split]
    headers = Headers()
    headers.look((picture for picture, _ in rows), (relative(picture, root) for picture, _ in rows))
    mapped = read_colours(folders)
    named = find_names(folders)
    names = named[1] if named else None
    colours: tuple[Colour, ...] | None = None
    if mapped:
        names = [name for name, _ in mapped[1]]
        known = tuple(colour for _, colour in mapped[1])
        colours = known if _in_colours(rows[0][1], known) else None
        notes.append(f"{'colours' if colours else 'class numbers'} named by {mapped[0].name}")
    elif named:
        notes.append(f"classes: {len(named[1])}, in the order of {named[0].name}")
    where = mapped[0] if mapped else named[0] if named else root
    if len(names or ()) > 255:
        raise UserError(f"{where}: masks of at most 255 classes can be read, found {len(names or ())} names")
    look = _look(root, [mask for _, mask in rows], headers, colours)
    if colours:  # in masks of colours the value 255 stands for all that are not in the map
        unnamed, look.counts[IGNORE] = look.counts[IGNORE], 0
        meaning = class_map(names, look.counts, where, notes)
        pixels, what = int(unnamed), "colours that are not in"
    else:
        meaning = class_map(names, look.counts, where, notes, voc)
        pixels, what = int(look.counts[meaning.unknown].sum()), "class numbers without a name in"
    if pixels:
        _tell_unknown(root, look, meaning, pixels, f"{what} {where.name}", notes, bool(colours))
    if check:
        refuse_mistakes(root, look.mistakes)
        headers.raise_broken(root)
    splits = {name: _split(root, pairs, headers.channels, meaning, colours) for name, pairs in found.items()}
    notes += headers.places_notes("masks")
    name = root.resolve().name
    return Dataset(name, str(root), splits, target="mask", notes=notes, mistakes=look.mistakes)


def _split(
    root: Path, pairs: list[tuple[Path, Path]], channels: int, meaning: ClassMap, colours: tuple[Colour, ...] | None
) -> Split:
    origins = [relative(picture, root) for picture, _ in pairs]
    images = EncodedImages([picture for picture, _ in pairs], origins, channels)
    names = [relative(mask, root) for _, mask in pairs]
    masks = EncodedMasks([mask for _, mask in pairs], names, meaning.table, colours)
    columns = {
        "image": Column(Image(channels=channels), images),
        "mask": Column(Mask(classes=meaning.classes, ignore=IGNORE), masks),
    }
    return Split(columns, origins)


def _in_colours(mask: Path, colours: tuple[Colour, ...]) -> bool:
    """Whether a mask is in the colours of a map: not where it holds class numbers."""
    with open_picture(mask, mask.name) as picture:
        mode = picture.mode
    if mode in ("L", "1", "I", "I;16"):
        return False
    known = decode_colours(mask, mask.name, colours) != 255
    return mode != "P" or bool(known.mean() > 1 - FEW)


@dataclass
class _Look:
    """What all masks hold: (256,) pixels of each value, the first file of each, and what is wrong with them."""

    counts: np.ndarray
    first: dict[int, str]
    mistakes: list[Mistake]


def _look(root: Path, masks: list[Path], headers: Headers, colours: tuple[Colour, ...] | None) -> _Look:
    look = _Look(np.zeros(256, dtype=np.int64), {}, [])
    encoded = EncodedMasks(masks, [relative(mask, root) for mask in masks], np.arange(256, dtype=np.uint8), colours)
    turned = set(headers.turned)
    for index, size in enumerate(headers.sizes):
        name = encoded.names[index]
        try:
            values = encoded[index]
        except UserError as error:
            look.mistakes.append(Mistake("broken masks", name, str(error).removeprefix(f"{name}: ")))
            continue
        if size is not None and values.shape != size:
            message = f"the mask is {values.shape[1]}x{values.shape[0]}, its picture {size[1]}x{size[0]}"
            message += ", turned by its EXIF orientation" if index in turned else ""
            look.mistakes.append(Mistake("masks of another size than their picture", name, message))
        counts = np.bincount(values.ravel(), minlength=256)
        look.counts += counts
        for value in np.flatnonzero(counts).tolist():
            look.first.setdefault(value, name)
    if len(look.mistakes) == len(masks):
        refuse_mistakes(root, look.mistakes)
    return look


def _tell_unknown(
    root: Path, look: _Look, meaning: ClassMap, pixels: int, what: str, notes: list[str], in_colours: bool
) -> None:
    """Pixels of no known class: a note where they are few, as at soft edges, and a mistake where they are many."""
    values = [255] if in_colours else np.flatnonzero(meaning.unknown & (look.counts > 0)).tolist()
    numbers = "" if in_colours else f" ({', '.join(map(str, values[:6]))}{', ...' if len(values) > 6 else ''})"
    share = pixels / max(int(look.counts.sum()) + (pixels if in_colours else 0), 1)
    told = f"{pixels:,} pixels ({share:.2%} of all) have {what}{numbers}"
    first = look.first[values[0]]
    if share > FEW:
        look.mistakes.append(Mistake("classes without a name", first, f"{told}; this is the first file"))
    else:
        notes.append(f"{told}: not learnt, not counted; first in {first}")
