"""Who is measured. `tuned` ones are not written the way their documentation tells, but as one could who knows how."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Contestant:
    """function: "module:function" in this folder, imported in a process of its own; environment: set there before;
    pictures_only: what it does has no meaning for text"""

    title: str
    function: str
    environment: dict[str, str] = field(default_factory=dict)
    pictures_only: bool = False

    @property
    def is_bare(self) -> bool:
        return self.function.startswith("bare_loops:")

    @property
    def is_gradus(self) -> bool:
        return self.function.startswith("gradus_entry:")


TORCH, JAX = {"KERAS_BACKEND": "torch"}, {"KERAS_BACKEND": "jax"}

CONTESTANTS: dict[str, Contestant] = {
    "bare-float": Contestant(
        "bare loop, resident float32, channels-last", "bare_loops:resident_float", pictures_only=True
    ),
    "bare-stored": Contestant("bare loop, resident as stored, channels-last", "bare_loops:resident_stored"),
    "bare-kept": Contestant(
        "bare loop, resident as stored, channels-last, freed memory kept", "bare_loops:resident_stored_kept"
    ),
    "gradus": Contestant("Gradus, the trainer", "gradus_entry:trainer_only"),
    "gradus-run": Contestant(
        "Gradus, a whole run (folder, checkpoints, live progress)", "gradus_entry:whole_run", pictures_only=True
    ),
    "bare-loader": Contestant("bare loop, DataLoader, default layout", "bare_loops:data_loader"),
    "lightning": Contestant("Lightning", "lightning_peer:documented"),
    "lightning-tuned": Contestant("Lightning, tuned (resident, channels-last)", "lightning_peer:tuned"),
    "skorch": Contestant("skorch", "skorch_peer:documented"),
    "keras-torch": Contestant("Keras 3 on torch", "keras_peer:documented", TORCH),
    "keras-torch-tuned": Contestant(
        "Keras 3 on torch, tuned (channels-first)", "keras_peer:channels_first", TORCH, pictures_only=True
    ),
    "keras-jax": Contestant("Keras 3 on JAX", "keras_peer:documented", JAX),
    "keras-jax-tuned": Contestant("Keras 3 on JAX, tuned (16 steps a call)", "keras_peer:many_steps_a_call", JAX),
}
