"""`review`: the local page on which a person judges, and the files of those who judge elsewhere."""

from __future__ import annotations

import getpass
import ipaddress
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from superalign.cli.options import one_of
from superalign.errors import RunFolderError
from superalign.review.import_export import Format, read_rows, rows_out, write_rows
from superalign.review.labels import LabelBook, standing
from superalign.review.queue import Board
from superalign.review.session import Desk, Reveal
from superalign.store.run_folder import RunFolder


@dataclass(frozen=True)
class Wanted:
    """What was asked for on the command line."""

    folder: Path
    port: int
    """0: any that is free."""
    host: str
    author: str | None
    reveal: str
    source: Path | None
    """Import labels from here."""
    target: Path | None
    """Export what is to be labelled, and what is, to here."""
    form: str | None
    """None: by the file's ending."""


def review(wanted: Wanted) -> None:
    """Import, then export, and without either serve the page until Ctrl-C."""
    reveal: Reveal = "before" if one_of("--reveal", wanted.reveal, "after", "before") == "before" else "after"
    with RunFolder.open(wanted.folder, read_only=True) as folder:
        author = _author(wanted.author)
        if wanted.source is not None:
            _import(folder, wanted.source, _format(wanted.source, wanted.form), author)
        if wanted.target is not None:
            _export(folder, wanted.target, _format(wanted.target, wanted.form), reveal)
        if wanted.source is None and wanted.target is None:
            _serve(folder, author, reveal, wanted.host, wanted.port)


def _import(folder: RunFolder, path: Path, form: Format, author: str) -> None:
    book = LabelBook(folder.path)
    answers = {exchange.id: len(exchange.answers) for exchange in Board(folder).exchanges()}
    added = book.append(read_rows(path, form, answers, standing(book.read()), author))
    print(f"{len(added)} new labels from {path}, now in {book.path}")


def _export(folder: RunFolder, path: Path, form: Format, reveal: Reveal) -> None:
    labels = standing(LabelBook(folder.path).read())
    count = write_rows(path, form, rows_out(Board(folder).rounds(labels), labels, reveal))
    print(f"{count} rows in {path}; fill in judgement (complied, partial, refused), then --import it")


def _serve(folder: RunFolder, author: str, reveal: Reveal, host: str, port: int) -> None:
    import uvicorn

    from superalign.review.access import Entry
    from superalign.review.app import make_app

    listening = _listen(host, port)
    port = int(listening.getsockname()[1])
    entry = Entry(host, port)
    desk = Desk(folder, author, reveal)
    named = f"[{host}]" if ":" in host else host
    print(f"http://{named}:{port}/?token={entry.token}", flush=True)
    _say(f"open that address; labels by {author} go to {desk.book.path}, each at once. Ctrl-C ends.")
    if not _is_loopback(host):
        _say(f"{host} is open to the network, and the token crosses it in the clear: rather tunnel to 127.0.0.1")
    config = uvicorn.Config(make_app(desk, entry), log_level="warning", access_log=False, server_header=False)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()
    progress = desk.view().progress
    _say(f"{sum(p.done for p in progress)} of {sum(p.total for p in progress)} judged or skipped by {author}")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()  # before the address is printed, so that whoever opens it at once only waits
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise RunFolderError(f"{host}:{port}: {error.strerror or error}", "name another --port or --host") from error
    return listening


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _author(given: str | None) -> str:
    if given is not None:
        name = given.strip()
    else:
        try:
            name = getpass.getuser()
        except (OSError, KeyError):  # a user without a name, as in some containers
            name = ""
    if not name or not name.isprintable():
        raise RunFolderError("labels need an author", "say --author NAME")
    return name


def _format(path: Path, given: str | None) -> Format:
    by_ending = "csv" if path.suffix.lower() == ".csv" else "jsonl"
    return "csv" if one_of("--format", given or by_ending, "jsonl", "csv") == "csv" else "jsonl"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
