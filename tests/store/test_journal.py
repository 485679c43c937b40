"""The journal: complete lines survive every cut, kill and full disk."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superalign.errors import RunFolderError
from superalign.records.exchange import Dropped
from superalign.records.rollout import Generation
from superalign.store.journal import Journal, read_records, rewrite_sorted, to_line

texts = st.text(st.characters(exclude_categories=[]), max_size=12)  # lone surrogates and line separators too


def drop(name: str, reason: str = "empty") -> Dropped:
    return Dropped(stage="attack", record_id=name, reason=reason)


def by_record(fields: dict[str, str]) -> tuple[str, ...]:
    return (fields["record_id"],)


def storable(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


@given(st.lists(texts, max_size=6), st.data())
@settings(max_examples=50, deadline=None)
def test_any_truncation_keeps_every_complete_line(reasons: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j.jsonl"
        with Journal(path, Dropped) as journal:
            for index, reason in enumerate(reasons):
                journal.append(drop(str(index), reason))
        whole = path.read_bytes()
        assert len(whole.splitlines()) == len(whole.decode().splitlines()) == len(reasons)
        cut = data.draw(st.integers(0, len(whole)))
        os.truncate(path, cut)
        kept = whole[:cut].count(b"\n")
        assert len(list(read_records(path, Dropped))) == kept  # a reader beside it changes nothing
        assert path.stat().st_size == cut
        with Journal(path, Dropped) as journal:
            assert journal.count == kept
            assert journal.torn_bytes == cut - (whole[:cut].rfind(b"\n") + 1)
            assert [record.reason for record in journal] == [storable(reason) for reason in reasons[:kept]]
            for index in range(kept, len(reasons)):
                journal.append(drop(str(index), reasons[index]))
        assert path.read_bytes() == whole


steps = st.lists(st.sampled_from(["append", "flush", "reopen", "kill", "torn"]), max_size=25)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_interleavings(actions: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j.jsonl"
        journal, expected = Journal(path, Dropped, sync_records=3), []
        for index, action in enumerate(actions):
            if action == "append":
                journal.append(drop(str(index)))
                expected.append(str(index))
            elif action == "flush":
                journal.flush()
            elif action == "reopen":
                journal.close()
                journal = Journal(path, Dropped)
            else:  # killed: nothing is flushed or closed; perhaps half a line is on the disk
                if action == "torn":
                    os.write(journal._fd, to_line(drop("torn"), path)[:-1])
                os.close(journal._fd)
                journal = Journal(path, Dropped)
                assert bool(journal.torn_bytes) == (action == "torn")
            assert [record.record_id for record in journal] == expected
        journal.close()


WRITER = """
import sys
from pathlib import Path
from superalign.records.exchange import Dropped
from superalign.store.journal import Journal
journal = Journal(Path(sys.argv[1]), Dropped)
start = journal.count
for index in range(start, 10**9):
    journal.append(Dropped(stage="attack", record_id=str(index), reason="x" * 3000))
    sys.stdout.write(f"{index}\\n")
    sys.stdout.flush()
"""


def test_sigkill_of_a_writing_process_loses_nothing_it_appended(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout
        first = process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        told = [first, *process.stdout.read().splitlines()]
        process.wait()
        last = int(told[-1] if told[-1].strip() else told[-2])
        with Journal(path, Dropped) as journal:
            ids = [int(record.record_id) for record in journal]
        assert ids == list(range(len(ids)))
        assert len(ids) in (last + 1, last + 2)


def test_syncs_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    with Journal(tmp_path / "j.jsonl", Dropped, sync_records=3, sync_ms=1e9) as journal:
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append(journal.count))
        for index in range(7):
            journal.append(drop(str(index)))
        journal.flush()
        journal.flush()
    assert synced == [3, 6, 7]
    with Journal(tmp_path / "j.jsonl", Dropped, sync_records=10**9, sync_ms=0) as journal:
        journal.append(drop("7"))
    assert synced == [3, 6, 7, 8]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(to_line(drop("a"), path) + b'{"stage": 3}\n' + to_line(drop("b"), path))
    with Journal(path, Dropped) as journal, pytest.raises(RunFolderError, match=r"j\.jsonl:2: not a Dropped: stage"):
        list(journal)
    path.write_bytes(b"garbage\n" + to_line(drop("b"), path))
    with pytest.raises(RunFolderError, match=r"j\.jsonl:1: .*delete line 1"):
        list(read_records(path, Dropped))
    with pytest.raises(RunFolderError, match=r"j\.jsonl:1: not a record"):
        rewrite_sorted(path, by_record)


def test_nan_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, Generation) as journal, pytest.raises(RunFolderError, match="NaN"):
        journal.append(Generation(text="a", num_tokens=1, logprob=float("nan")))
    assert path.read_bytes() == b""


def test_disk_full_mid_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "j.jsonl", os.write
    with Journal(path, Dropped) as journal:
        journal.append(drop("a"))
        answers = iter([5, None])

        def full(fd: int, data: memoryview) -> int:
            size = next(answers)
            if size is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(fd, data[:size])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(RunFolderError, match=r"j\.jsonl: the disk is full; make room.*superalign resume"):
            journal.append(drop("b"))
        monkeypatch.undo()
        journal.append(drop("c"))  # room was made
        assert [record.record_id for record in journal] == ["a", "c"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.name != "posix"
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode
    ):
        pytest.skip("mounting a tmpfs needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(path: Path) -> int:
    """Append until the disk refuses; returns how many records fitted."""

    def append_all(journal: Journal[Dropped]) -> None:
        for index in range(100):
            journal.append(drop(str(index), "x" * 3000))

    with Journal(path, Dropped) as journal:
        with pytest.raises(RunFolderError, match=r"full|ulimit"):
            append_all(journal)
        assert journal.count == len(list(journal))
        return journal.count


def test_a_really_full_disk(tiny_disk: Path) -> None:
    path = tiny_disk / "j.jsonl"
    fitted = fill(path)
    assert 10 < fitted < 25
    assert path.read_bytes().endswith(b"\n")


def test_a_limit_on_file_size(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # Python ignores SIGXFSZ, so EFBIG comes
    try:
        assert fill(path) == 6
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes().endswith(b"\n")


@given(st.lists(st.tuples(st.sampled_from("abc"), texts), max_size=8), st.randoms())
@settings(max_examples=40, deadline=None)
def test_sorting_forgets_the_order_of_completion(rows: list[tuple[str, str]], rng: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for name in ("one", "two"):
            path = Path(folder) / name
            rng.shuffle(rows)  # type: ignore[attr-defined]
            with Journal(path, Dropped) as journal:
                for row in rows:
                    journal.append(drop(*row))
            rewrite_sorted(path, by_record)
            results.append(path.read_bytes())
        assert results[0] == results[1]
        kept = [(record.record_id, record.reason) for record in read_records(path, Dropped)]
        assert [name for name, _ in kept] == sorted(name for name, _ in kept)
        assert set(kept) == {(name, storable(text)) for name, text in rows}


def test_appending_to_a_replaced_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, Dropped) as journal:
        journal.append(drop("b"))
        journal.append(drop("a"))
        rewrite_sorted(path, by_record)
        with pytest.raises(RunFolderError, match="replaced"):
            journal.append(drop("c"))
    with pytest.raises(ValueError, match="closed"):
        journal.append(drop("c"))


def test_sorting_and_reading_stay_flat_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "j.jsonl"
    with Journal(path, Dropped) as journal:
        for index in reversed(range(1500)):
            journal.append(drop(f"{index:05d}", "x" * 4000))
    tracemalloc.start()
    rewrite_sorted(path, by_record)
    assert sum(1 for _ in read_records(path, Dropped)) == 1500
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000 < path.stat().st_size / 2
