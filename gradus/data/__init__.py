"""Data: the catalogue, readers of people's own formats, splits, checks, and the batches on the device."""

from gradus.data.columns import Column, Image, Label, Labels, Number, Text
from gradus.data.dataset import Dataset, Split
from gradus.data.load import DataSettings, load_data

__all__ = ["Column", "DataSettings", "Dataset", "Image", "Label", "Labels", "Number", "Split", "Text", "load_data"]
