"""Files that are whole or not there at all, their hashes, and JSON whose bytes depend on nothing but the data."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from superalign.errors import RunFolderError
from superalign.files.hashes import sha256_bytes, sha256_file

_O_BINARY: int = getattr(os, "O_BINARY", 0)
_UNSAFE = re.compile("[\u0085\u2028\u2029\ud800-\udfff]")
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the limit on the size of a file (ulimit -f) is reached",
}
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def disk_error(path: Path, error: OSError) -> RunFolderError:
    """An OSError of a write in words; what was written before stays valid."""
    if error.errno in _FULL:
        return RunFolderError(
            f"{path}: {_FULL[error.errno]}",
            f"make room on the disk of {path.parent}, then `superalign resume` the run: nothing finished is lost",
        )
    return RunFolderError(f"{path}: {error.strerror or error}", "make the folder writable, then `superalign resume`")


def encode_json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """JSON on which every reader agrees.

    Characters that some readers take for a line end (U+0085, U+2028, U+2029) are escaped; lone surrogates, which
    UTF-8 can't hold, become U+FFFD. Raises ValueError for NaN and infinities.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, indent=indent, sort_keys=sort_keys, separators=separators
    )
    return _UNSAFE.sub(lambda m: "\\ufffd" if m[0] >= "\ud800" else f"\\u{ord(m[0]):04x}", text)


def canonical(value: BaseModel | Mapping[str, Any]) -> bytes:
    """Sorted keys, no spaces: the form that is hashed."""
    return encode_json(_plain(value), sort_keys=True).encode()


def write_json(path: Path, value: BaseModel | Mapping[str, Any]) -> None:
    """A model or mapping as indented JSON, atomically; keys keep their order.

    Raises RunFolderError for NaN and infinities, and where the disk refuses.
    """
    try:
        text = encode_json(_plain(value), indent=2)
    except ValueError as error:
        raise RunFolderError(f"{path}: {error}", "a figure is NaN or infinite; store None with a reason") from error
    write_atomic(path, text + "\n")


def write_atomic(path: Path, content: bytes | str | Iterable[bytes]) -> None:
    """Replace `path` so that a reader, or a crash, sees the old content or the new, never a part.

    The temporary file has a fixed name, so what a killed process left is overwritten and never piles up.
    """
    whole = content.encode() if isinstance(content, str) else content
    chunks = [whole] if isinstance(whole, bytes) else whole
    temporary = temporary_of(path)
    try:
        try:
            with temporary.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise disk_error(path, error) from error


def temporary_of(path: Path) -> Path:
    """Where `write_atomic` prepares `path`: the same folder, since a rename is atomic only within a file system."""
    return path.with_name(f".{path.name}.tmp")


def is_temporary(name: str) -> bool:
    """Whether a file name is one that `temporary_of` makes."""
    return name.startswith(".") and name.endswith(".tmp")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_append(path: Path) -> int:
    """A file descriptor that reads anywhere and writes at the end; the file is made if need be."""
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _O_BINARY, 0o644)


def list_files(folder: Path) -> list[str]:
    """Every file below `folder`, as sorted relative paths with forward slashes."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def sha256_tree(folder: Path) -> str:
    """Hash over the names and bytes of all files below `folder`; the same wherever the folder lies."""
    return sha256_bytes(canonical({name: sha256_file(folder / name) for name in list_files(folder)}))


def sha256_adapter(folder: Path) -> str:
    """`Checkpoint.sha256`: the weights' hash, or the whole folder's where the weights have another name.

    Not the configuration's, because PEFT writes the base model's local path into it.
    """
    weights = folder / ADAPTER_WEIGHTS
    return sha256_file(weights) if weights.is_file() else sha256_tree(folder)


def _plain(value: BaseModel | Mapping[str, Any]) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
