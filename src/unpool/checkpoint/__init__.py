"""State to file and back: the model (safetensors with a JSON card) and the training state (a torch file)."""

from unpool.checkpoint.card import CARD_VERSION, Card
from unpool.checkpoint.models import (
    LoadedModel,
    bare_state,
    load_model,
    new_model,
    save_model,
    stored_checksum,
    weights_digest,
)
from unpool.checkpoint.probe import Probe, ProbeResult, answer, compare, probe_picture
from unpool.checkpoint.proof import first_line
from unpool.checkpoint.states import (
    StoredState,
    load_newest_state,
    load_state,
    previous,
    save_state,
)

__all__ = [
    "CARD_VERSION",
    "Card",
    "LoadedModel",
    "Probe",
    "ProbeResult",
    "StoredState",
    "answer",
    "bare_state",
    "compare",
    "first_line",
    "load_model",
    "load_newest_state",
    "load_state",
    "new_model",
    "previous",
    "probe_picture",
    "save_model",
    "save_state",
    "stored_checksum",
    "weights_digest",
]
