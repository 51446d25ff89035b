"""The looks: name -> the function that makes one, and what it shows. A look's file is imported when it is asked for.

Each is `function(subject, pictures, *, ...settings) -> Sight`; its keyword arguments, with their types and defaults, are what
`--set name=value` may change. `pictures` is empty where a look needs none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    function: str  # module of gradus.look.inside : function
    shows: str
    pictures: bool = True  # whether it needs pictures
    rows: bool = False  # whether it needs labelled rows: a run's, or those of --data


LOOKS: dict[str, Look] = {
    "filters": Look("filters:filters", "the weights of the first convolution as pictures", pictures=False),
    "style": Look("style:style", "the first picture in the style of the others (Gatys)"),
    "texture": Look("texture:texture", "a new picture of a texture's kind, of any size"),
    "dream": Look("dream:dream", "a picture changed so that layers see more in it (DeepDream)"),
}
