"""What tasks share in which any network for pictures gives numbers that are places: one object, or landmarks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradus.tasks.scene_task import SceneTask


class PlaceTask(SceneTask):
    """Subclasses set `num_outputs` and `column` when they are fitted."""

    num_outputs: int

    def model_options(self) -> dict[str, Any]:
        """Networks that end in a ReLU are asked for `signed` outputs; those that take squares of a fixed side get it."""
        height, width = self.inputs.size
        return {
            "in_channels": len(self.inputs.mean),
            "num_classes": self.num_outputs,
            "picture_size": [height, width],
            "signed": True,
            **({"image_size": height} if height == width else {}),
        }


def points_to_network(points: Tensor, places: Tensor) -> Tensor:
    """Points (B, K, 2) in pixels of the pictures -> in those of the network; places: see `scenes.py`."""
    scale, offset = places[:, None, [3, 2]], places[:, None, [5, 4]]
    return points * scale + offset


def points_from_network(points: Tensor, places: Tensor) -> Tensor:
    """The inverse of `points_to_network`. Points may lie outside of the picture."""
    scale, offset = places[:, None, [3, 2]], places[:, None, [5, 4]]
    return (points - offset) / scale
