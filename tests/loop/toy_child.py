"""Plays `superalign.training.child` without a model: job folder in; progress lines, adapter and DONE out.

Its adapter is a hash of the examples and of the parent's adapter. TOY_CHILD names a fault and where it strikes:
`fail 002`, `die 002`, `hang 002`, `kill-parent-at-step 001`, `kill-parent-before-done 001`.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

STEPS = 3


def main(folder: Path, parent: int) -> int:
    round = folder.parent.name
    fault, _, where = os.environ.get("TOY_CHILD", "").partition(" ")
    fault = fault if where == round else ""
    note(f"train {round}")
    if fault == "fail":
        (folder / "error.json").write_text(json.dumps({"what": "the loss is no number at step 2", "hint": ""}))
        return 1
    if fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hang":
        live_on(parent, 60)
    for step in range(1, STEPS + 1):
        if fault == "kill-parent-at-step" and step == 2:
            os.kill(parent, signal.SIGKILL)
            live_on(parent, 60)
        live_on(parent, 0.004)
        print(json.dumps({"stage": "sft", "step": step, "steps": STEPS, "loss": 1 / step}), flush=True)
    write_adapter(folder)
    if fault == "kill-parent-before-done":
        os.kill(parent, signal.SIGKILL)
        live_on(parent, 60)
    (folder / "training.json").write_text(json.dumps({"stages": [{"losses": [1 / n for n in range(1, STEPS + 1)]}]}))
    (folder / "DONE").touch()
    return 0


def write_adapter(folder: Path) -> None:
    job = json.loads((folder / "job.json").read_text())
    digest = hashlib.sha256((folder / "demonstrations.jsonl").read_bytes() + (folder / "pairs.jsonl").read_bytes())
    if job["parent_adapter"]:
        digest.update((folder / job["parent_adapter"] / "adapter_model.safetensors").resolve().read_bytes())
    header = json.dumps({"lora": {"dtype": "U8", "shape": [32], "data_offsets": [0, 32]}}).encode()
    adapter = folder / "adapter"
    adapter.mkdir(exist_ok=True)
    (adapter / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + digest.digest())
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8}))


def live_on(parent: int, seconds: float) -> None:
    """Sleep, unless the parent is gone: then end, as the real child does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.getppid() != parent:
            os._exit(1)
        time.sleep(0.002)


def note(line: str) -> None:
    if path := os.environ.get("TOY_NOTES"):
        with open(path, "a") as file:  # noqa: PTH123
            file.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
