"""`gradus import`: a downloaded file of weights becomes a safetensors file with a record of its preprocessing beside it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from gradus.errors import UserError
from gradus.files import write_atomic
from gradus.models import accepted_options, create_model, model_class
from gradus.models.preprocessing import Preprocessing, read_record, record_path, write_record
from gradus.models.weights import UNPICKLED, outputs_of, put_weights, read_weights

SECONDS = 600  # that reading a file may take
ROOM = 2**30  # bytes of memory beyond three times the file
# names that older releases of torchvision gave, as it translates them itself
RENAMED = ((re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)"), r"\1\2"),)


@dataclass(frozen=True)
class Imported:
    """What was made of a file. sha256: of the file that was read; record: None where nothing is known of its pictures."""

    file: Path
    tensors: int
    parameters: int
    size: int
    sha256: str
    record: Preprocessing | None
    notes: tuple[str, ...]


def import_weights(source: Path, network: str, out: Path, classes: tuple[str, ...] = ()) -> Imported:
    """Reads `source` (.pth and the like, or safetensors), compares it with the network, and writes `out` and its record.

    out: the safetensors file; classes: the names of the outputs. Raises `UserError`, and then writes nothing.
    """
    model_class(network)  # an unknown name is told before anything else
    if not source.is_file():
        raise UserError(f"{source}: there is no such file")
    if out.suffix != ".safetensors":
        raise UserError(f"--out {out}: expected a name that ends with .safetensors")
    if out.exists():
        raise UserError(f"{out}: there is such a file already; choose another --out")
    beside = record_path(out)
    if beside.exists() and beside.resolve() != record_path(source).resolve():
        raise UserError(f"{beside}: there is such a file already, where the record would stand; choose another --out")
    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    tensors: Mapping[str, Tensor] = unpickled(source) if source.suffix.lower() in UNPICKLED else read_weights(source)
    tensors = {_renamed(name): tensor for name, tensor in tensors.items()}
    outputs = outputs_of(network, tensors)
    takes_classes = outputs is not None and "num_classes" in accepted_options(network)
    model = create_model(network, **({"num_classes": outputs} if takes_classes else {}))
    notes = put_weights(model, tensors, str(source), new_head=False)
    own = model.state_dict()
    kept = {name: tensor.contiguous() for name, tensor in tensors.items() if name in own}
    if classes and len(classes) != outputs:
        raise UserError(f"--classes: {len(classes)} names for {outputs} outputs")
    usual_size = getattr(model_class(network), "usual_image_size", None)
    record, note = read_record(source, network, outputs or 0, usual_size)
    if record is not None:
        record = replace(record, classes=classes or record.classes, source=f"{source.name}, sha256 {digest}")
    elif classes:
        raise UserError(f"--classes: {note}; write {record_path(source)} first")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, save(kept, metadata={"format": "pt", "source": f"{source.name}, sha256 {digest}"}))
    if record is not None:
        try:
            write_atomic(record_path(out), write_record(record))
        except BaseException:
            out.unlink()
            raise
    parameters = sum(tensor.numel() for tensor in kept.values())
    return Imported(out, len(kept), parameters, len(content), digest, record, (*notes, *([note] if note else [])))


def unpickled(source: Path) -> dict[str, Tensor]:
    """The tensors of a file that torch.save wrote, read by a process of its own (`unpickle.py`)."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "weights.safetensors"
        most = 3 * source.stat().st_size + ROOM
        command = [sys.executable, "-P", "-m", "gradus.models.unpickle", str(source), str(target), str(most)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
            answer = json.loads((done.stdout.splitlines() or [""])[-1])
        except subprocess.TimeoutExpired:
            raise UserError(f"{source}: refused: it could not be read in {SECONDS} seconds") from None
        except ValueError:
            raise UserError(f"{source}: refused: reading it ended with code {done.returncode}") from None
        if "error" in answer:
            raise UserError(f"{source}: refused: {answer['error']}")
        return read_weights(target)


def _renamed(name: str) -> str:
    for pattern, new in RENAMED:
        name = pattern.sub(new, name)
    return name
