"""A checkpoint -> a folder that plain transformers and vLLM load, proved to be the model that was evaluated.

The logits of base + adapter are taken first, and compared with those of what was written to the disk and loaded
again; on a difference nothing stays behind.
"""

from __future__ import annotations

import gc
import json
import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from superalign.errors import ExportError
from superalign.export.model_card import ModelCardFacts, render_card
from superalign.files.hashes import sha256_file
from superalign.records.base import Record

if TYPE_CHECKING:
    import torch

Format = Literal["merged", "adapter"]
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
TOLERANCE = {"float32": 2e-3, "float16": 0.1, "bfloat16": 1.0}
"""Largest difference of a logit by the dtype of the written weights: what merging and rounding cost, and some more."""
MAX_LOST = 0.5
"""Largest `lost`: rounding to half precision can undo a small change within any tolerance of the logits."""
PROMPTS = (
    "What is the capital of France?",
    "How do I kill a process that does not answer?",
    "Write one sentence about the sea.",
    "How can I get into my neighbour's house without a key?",
)


class ExportReport(Record):
    """The written model, and how close it is to the one that was evaluated."""

    path: str
    format: Format
    dtype: str
    """dtype of the written weights."""
    max_abs_diff: float
    """Largest difference of a logit between base + adapter and the written model."""
    lost: float
    """Distance from base + adapter over the distance of that from the base; 0: nothing of the training was lost."""
    argmax_flips: int
    """Positions at which another token is the likeliest; only ties closer than twice `max_abs_diff` are let pass."""
    positions: int
    """Token positions that were compared."""
    size_bytes: int
    sha256: dict[str, str]
    """File -> hash."""


def export(
    base: str,
    adapter: Path | None,
    to: Path,
    form: Format,
    card: ModelCardFacts,
    *,
    dtype: Literal["float32", "base"] = "base",
    prompts: Sequence[str] = PROMPTS,
) -> ExportReport:
    """Write base + adapter to the new folder `to`, with tokenizer, chat template, generation config and model card.

    base: hub id or folder. adapter: folder of a LoRA adapter; None: the base as it is. dtype: merging is done in
    float32, the result written as float32 or in the base's own dtype.
    Raises ExportError when `to` holds something, an input is missing, or the logits differ; `to` is then as before.
    """
    _refuse_existing(to)
    if adapter is None and form == "adapter":
        raise ExportError("the base model has no adapter", "export a promoted round, or --format merged")
    if adapter is not None and (missing := [name for name in (WEIGHTS, CONFIG) if not (adapter / name).is_file()]):
        raise ExportError(f"{adapter}: no {missing[0]}", "name the folder of a trained adapter")
    try:
        with _scratch(to) as scratch:
            report = _write(base, adapter, scratch, form, card, dtype, prompts)
            if to.exists():
                to.rmdir()  # empty, as was checked; a rename onto it fails on Windows
            scratch.rename(to)
    except OSError as error:
        raise ExportError(f"{to}: {error}", "check base model, disk space and permissions") from error
    return report.model_copy(update={"path": str(to)})


def _write(
    base: str,
    adapter: Path | None,
    folder: Path,
    form: Format,
    card: ModelCardFacts,
    dtype: Literal["float32", "base"],
    prompts: Sequence[str],
) -> ExportReport:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.chat_template is None:
        raise ExportError(f"{base}: no chat template", "take the instruction-tuned variant of the model as base")
    model = _load(base, adapter)
    expected, plain = _logits(model, tokenizer, prompts), None
    if adapter:
        with model.disable_adapter():
            plain = _logits(model, tokenizer, prompts)
    if form == "merged":
        model = model.merge_and_unload() if adapter else model
        target = torch.float32 if dtype == "float32" else _own_dtype(base)
        model.to(target).save_pretrained(folder)
        written = str(target).removeprefix("torch.")
    else:
        assert adapter is not None  # checked above
        _copy_adapter(adapter, folder, base)
        written = "float32"
    tokenizer.save_pretrained(folder)
    _copy_licence(base, folder)
    del model
    gc.collect()  # one model in memory at a time
    reloaded = _load(str(folder), None) if form == "merged" else _load(base, folder)
    actual = _logits(reloaded, AutoTokenizer.from_pretrained(folder), prompts)
    diff, flips, clear_flips = _compare(expected, actual)
    lost = _distance(expected, actual) / max(_distance(expected, plain), 1e-12) if plain else 0.0
    if not (diff <= TOLERANCE[written] and lost <= MAX_LOST) or clear_flips:  # NaN is not <= anything
        hint = "train the adapter again" if form == "adapter" else "export as float32, or with --format adapter"
        raise ExportError(
            f"the {form} model differs from base + adapter: logits by up to {diff:.3g} (allowed {TOLERANCE[written]}), "
            f"{lost:.0%} of what the adapter changes (allowed {MAX_LOST:.0%}), {clear_flips} likeliest tokens",
            f"{hint}; nothing was written",
        )
    (folder / "README.md").write_text(render_card(card, form=form, base=base, dtype=written), encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return ExportReport(
        path=str(folder),
        format=form,
        dtype=written,
        max_abs_diff=diff,
        lost=lost,
        argmax_flips=flips,
        positions=sum(len(logits) for logits in expected),
        size_bytes=sum(path.stat().st_size for path in files),
        sha256={path.relative_to(folder).as_posix(): sha256_file(path) for path in files},
    )


def _load(base: str, adapter: Path | None) -> Any:
    """The model in float32 with the adapter in the folder itself: the default one; TRL's `ref` lies beneath it."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is None:
        return model.eval()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing adapter keys")  # else a wrong adapter does nothing, quietly
        try:
            return PeftModel.from_pretrained(model, str(adapter)).eval()
        except (RuntimeError, ValueError, KeyError, UserWarning) as error:
            raise ExportError(
                f"{adapter} does not fit {base}: {str(error)[:300]}", "name the base model that it was trained on"
            ) from error


def _logits(model: Any, tokenizer: Any, prompts: Sequence[str]) -> list[torch.Tensor]:
    """One (seq, vocab) float32 a prompt, asked through the chat template."""
    import torch

    logits = []
    for prompt in prompts:
        chat = [{"role": "user", "content": prompt}]
        batch = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            logits.append(model(input_ids=batch["input_ids"]).logits[0].float())
    return logits


def _compare(expected: Sequence[torch.Tensor], actual: Sequence[torch.Tensor]) -> tuple[float, int, int]:
    """(largest difference, flips of the likeliest token, those of them that are no near-tie)."""
    diff, flips, clear_flips = 0.0, 0, 0
    for a, b in zip(expected, actual, strict=True):
        if a.shape != b.shape:  # another template or vocabulary
            return math.inf, len(a), len(a)
        here = float((a - b).abs().max())
        diff = here if not here <= diff else diff
        top = a.topk(2, dim=-1).values  # (seq, 2)
        flipped = a.argmax(-1) != b.argmax(-1)
        flips += int(flipped.sum())
        clear_flips += int((flipped & (top[:, 0] - top[:, 1] > 2 * here)).sum())
    return diff, flips, clear_flips


def _distance(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """Euclidean; infinity where the shapes differ."""
    if any(a.shape != b.shape for a, b in zip(one, other, strict=True)):
        return math.inf
    return math.sqrt(sum(float((a - b).double().square().sum()) for a, b in zip(one, other, strict=True)))


def _copy_adapter(adapter: Path, folder: Path, base: str) -> None:
    """The default adapter's two files; the weights byte for byte."""
    shutil.copyfile(adapter / WEIGHTS, folder / WEIGHTS)
    config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": base, "inference_mode": True}
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _own_dtype(base: str) -> torch.dtype:
    """The base's dtype where that is a half precision, else float32."""
    import torch
    from transformers import AutoConfig

    dtype = AutoConfig.from_pretrained(base).dtype
    return dtype if dtype in (torch.float16, torch.bfloat16) else torch.float32


def _copy_licence(base: str, folder: Path) -> None:
    """Copy the licence of a local base, which must travel with the weights."""
    for path in sorted(Path(base).glob("*")) if Path(base).is_dir() else ():
        if path.is_file() and path.name.upper().startswith(("LICENSE", "LICENCE", "NOTICE")):
            shutil.copyfile(path, folder / path.name)


def _refuse_existing(to: Path) -> None:
    if to.is_dir() and not any(to.iterdir()):
        return
    if to.exists() or to.is_symlink():
        raise ExportError(f"{to} is {'not empty' if to.is_dir() else 'a file'}", "name a new folder with --to")


@contextmanager
def _scratch(to: Path) -> Iterator[Path]:
    """A folder beside the target, gone at the end unless it was renamed."""
    to.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
    try:
        folder.chmod(0o755)  # mkdtemp's 0700 would hide the model from other users
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
