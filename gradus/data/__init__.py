"""Data: the catalogue, readers of people's own formats, splits, checks, and the batches on the device."""

from gradus.data.columns import Boxes, Column, Image, Label, Labels, Mask, Number, Objects, Points, Text
from gradus.data.dataset import Dataset, Split
from gradus.data.load import DataSettings, load_data

__all__ = [
    "Boxes",
    "Column",
    "DataSettings",
    "Dataset",
    "Image",
    "Label",
    "Labels",
    "Mask",
    "Number",
    "Objects",
    "Points",
    "Split",
    "Text",
    "load_data",
]
