"""A recipe on the scripted pool, and objects of one's own for its roles."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import superalign
from superalign import Checkpoint, Demonstration, PreferencePair

PLAN = Path(__file__).parents[1] / "loop" / "plan"


class ToyTrainer:
    """Writes an adapter that holds the round's number; `delay_s` is how long it takes."""

    def __init__(self, run_folder: Path, delay_s: float = 0.0) -> None:
        self.run_folder, self.delay_s, self.rows = run_folder, delay_s, list[int]()
        self.begun = False

    async def train(
        self, demonstrations: Sequence[Demonstration], pairs: Sequence[PreferencePair], parent: Checkpoint, round: int
    ) -> Checkpoint:
        self.begun = True
        await asyncio.sleep(self.delay_s)
        self.rows.append(len(list(demonstrations)) + len(list(pairs)))
        adapter = self.run_folder / f"rounds/{round:03d}/adapter"
        adapter.mkdir(parents=True, exist_ok=True)
        header = b'{"lora":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
        weights = len(header).to_bytes(8, "little") + header + bytes([round])
        (adapter / "adapter_model.safetensors").write_bytes(weights)
        (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}')
        return Checkpoint(
            id=f"round-{round:03d}", base=parent.base, adapter=f"rounds/{round:03d}/adapter", parent=parent.id
        )


def recipe(**overrides: object) -> superalign.Recipe:
    return superalign.load_recipe(PLAN / "recipe.yaml", {"rounds": 1, **overrides})


def play(out: Path, **overrides: object) -> superalign.Run:
    return superalign.run(recipe(**overrides), out, trainer=ToyTrainer(out))
