"""Whatever is done to the ledger, it holds what was written or says that it does not."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from spikeformer.compliance import KeyVault, Ledger
from spikeformer.error_handling import LedgerTamperedError


def opened(folder):
    return Ledger(folder / "ledger.sqlite", KeyVault(folder))


@pytest.fixture
def ledger(tmp_path):
    ledger = opened(tmp_path)
    for number in range(5):
        with ledger.writing() as writer:
            writer.append("note", {"number": number}, subject=f"s{number % 2}")
    return ledger


def change(ledger, statement):
    """Change the file as someone who knows SQLite would."""
    connection = sqlite3.connect(ledger.path, isolation_level=None)
    connection.execute("DROP TRIGGER IF EXISTS no_update")
    connection.execute("DROP TRIGGER IF EXISTS no_delete")
    connection.execute(statement)
    connection.close()


def test_entries_come_back_in_order(ledger):
    assert [entry.payload["number"] for entry in ledger.entries()] == [0, 1, 2, 3, 4]
    assert [entry.seq for entry in ledger.entries("s1", "note")] == [2, 4]
    assert ledger.verify() == 5
    assert ledger.verify({3: ledger.entries()[2].mac}) == 5


def test_it_is_append_only(ledger):
    connection = sqlite3.connect(ledger.path)
    for statement in ("UPDATE entries SET kind = 'x'", "DELETE FROM entries"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.close()


TAMPERING = {
    "changed": ("UPDATE entries SET payload = '{}' WHERE seq = 3", "entry 3"),
    "moved in time": ("UPDATE entries SET time = '2020-01-01' WHERE seq = 2", "entry 2"),
    "given to another": ("UPDATE entries SET subject = 's9' WHERE seq = 4", "entry 4"),
    "removed": ("DELETE FROM entries WHERE seq = 2", "entry 2"),
    "renumbered": ("UPDATE entries SET seq = 9 WHERE seq = 5", "entry 5"),
    "cut off": ("DELETE FROM entries WHERE seq > 3", "ends at entry 3, but there was an entry 5"),
    "emptied": ("DELETE FROM entries", "ends at entry 0"),
    "before the first": ("UPDATE entries SET seq = -1 WHERE seq = 1", "entry 1"),
    "bytes for text": ("UPDATE entries SET payload = x'7b7d' WHERE seq = 3", "entry 3"),
    "a number for text": ("UPDATE entries SET mac = 5 WHERE seq = 3", "entry 3"),
    "no text": ("UPDATE entries SET kind = CAST(x'ff' AS TEXT) WHERE seq = 3", "cannot be read"),
    "deep": (
        f"UPDATE entries SET payload = '{'[' * 100_000}' WHERE seq = 3",
        "entry 3",
    ),
    "no table": ("DROP TABLE entries", "cannot be read"),
    "another table": ("ALTER TABLE entries RENAME COLUMN payload TO load", "cannot be read"),
    "a trigger": (
        "CREATE TRIGGER x AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
        "holds 'x'",
    ),
    "a view": ("CREATE VIEW x AS SELECT * FROM entries", "holds 'x'"),
    "forged": ("INSERT INTO entries VALUES (6, '2027-01-01', 'x', '', '{}', 'ab')", "entry 6"),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_found(ledger, what):
    statement, message = TAMPERING[what]
    change(ledger, statement)
    with pytest.raises(LedgerTamperedError, match=message):
        ledger.verify()


def test_nothing_is_added_to_a_ledger_that_was_cut(ledger):
    change(ledger, "DELETE FROM entries WHERE seq > 3")
    with pytest.raises(LedgerTamperedError, match="entry 5"), ledger.writing() as writer:
        writer.append("note", {})
    connection = sqlite3.connect(ledger.path)
    assert connection.execute("SELECT count(*) FROM entries").fetchone() == (3,)
    connection.close()


MARKS = {
    "shorter": "UPDATE marks SET number = 3 WHERE name = 'head'",
    "of another type": "UPDATE marks SET number = x'00', text = x'ff' WHERE name = 'head'",
    "not sealed": "UPDATE marks SET seal = NULL WHERE name = 'head'",
    "removed": "DELETE FROM marks WHERE name = 'head'",
    "all removed": "DROP TABLE marks",
    "text that is none": "UPDATE marks SET seal = CAST(x'fffe' AS TEXT) WHERE name = 'head'",
}


@pytest.mark.parametrize("what", MARKS)
def test_the_seal_itself(ledger, tmp_path, what):
    connection = sqlite3.connect(tmp_path / "keys.sqlite", isolation_level=None)
    with suppress(sqlite3.IntegrityError):
        connection.execute(MARKS[what])
        with pytest.raises(LedgerTamperedError):
            ledger.verify()
    connection.close()


def test_cut_in_every_way_it_is_not_sealed_again(ledger, tmp_path):
    """Neither the last entries, nor all but the first, nor the files can be taken away."""
    for statement in ("DELETE FROM entries WHERE seq > 3", "DELETE FROM entries WHERE seq > 1"):
        folder = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name} {statement[-1]}"))
        for head in folder.glob("*head*"):
            head.unlink()
        cut = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
        cut.execute("DROP TRIGGER no_delete")
        cut.execute(statement)
        cut.close()
        for _ in range(2):
            with pytest.raises(LedgerTamperedError), opened(folder).writing() as writer:
                writer.append("note", {})
            with pytest.raises(LedgerTamperedError):
                opened(folder).verify()


@pytest.mark.parametrize("left", ["keys.sqlite", "master.key", "ledger.sqlite"])
def test_nothing_is_begun_beside_what_is_left(ledger, tmp_path, left):
    for file in tmp_path.iterdir():
        if left not in file.name and not (left == "keys.sqlite" and file.name == "master.key"):
            file.unlink()
    for _ in range(2):
        with pytest.raises(LedgerTamperedError):
            opened(tmp_path)


def test_emptied_files_are_not_new_ones(ledger, tmp_path):
    whole = (tmp_path / "keys.sqlite").read_bytes()
    (tmp_path / "keys.sqlite").write_bytes(b"")
    with pytest.raises(LedgerTamperedError):
        opened(tmp_path)
    (tmp_path / "keys.sqlite").write_bytes(whole)
    (tmp_path / "ledger.sqlite").write_bytes(b"")
    with pytest.raises(LedgerTamperedError, match="entry 5"):
        opened(tmp_path).verify()


def test_entries_are_not_read_from_a_changed_chain(ledger, tmp_path):
    """Also while somebody has it open who read it before."""
    assert len(ledger.entries()) == 5
    change(ledger, "UPDATE entries SET subject = 's9' WHERE seq = 2")
    for each in (ledger, opened(tmp_path)):
        with pytest.raises(LedgerTamperedError, match="entry 2"):
            each.entries("s1")
        with pytest.raises(LedgerTamperedError, match="entry 2"), each.writing() as writer:
            writer.append("note", {})


def test_an_older_copy_is_found_by_a_head_kept_elsewhere(ledger, tmp_path):
    shutil.copytree(tmp_path, tmp_path / "old")
    with ledger.writing() as writer:
        last = writer.append("note", {})
    old = opened(tmp_path / "old")
    assert old.verify() == 5
    with pytest.raises(LedgerTamperedError, match="older copy"):
        old.verify({last.seq: last.mac})


def test_a_file_that_is_no_database(ledger):
    for file in ledger.path.parent.glob("ledger.sqlite*"):
        file.write_bytes(b"no database" * 500)
    with pytest.raises(LedgerTamperedError, match="cannot be read"):
        ledger.verify()


def test_an_error_inside_leaves_nothing(ledger):
    def fail():
        with ledger.writing() as writer:
            writer.append("note", {})
            raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        fail()
    assert ledger.verify() == 5


WRITER = """
import sys
from pathlib import Path
from spikeformer.compliance import KeyVault, Ledger
path = Path(sys.argv[1])
ledger = Ledger(path, KeyVault(path.parent))
for number in range(int(sys.argv[2])):
    with ledger.writing() as writer:
        writer.append("note", {"number": number, "text": "x" * 2000}, subject=sys.argv[3])
    print(number, flush=True)
"""


def start(ledger, count, name):
    command = [sys.executable, "-c", WRITER, str(ledger.path), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_take_turns(ledger):
    for process in [start(ledger, 60, name) for name in "ab"]:
        process.communicate()
        assert process.returncode == 0
    assert ledger.verify() == 125
    for name in "ab":
        assert [e.payload["number"] for e in ledger.entries(name)] == list(range(60))


def test_threads_share_one_ledger(ledger):
    def write(name):
        for number in range(8):
            with ledger.writing() as writer:
                writer.append("note", {"number": number}, subject=name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    assert ledger.verify() == 5 + 32
    for name in "abcd":
        assert [e.payload["number"] for e in ledger.entries(name)] == list(range(8))


@pytest.mark.slow
def test_killed_in_the_middle_of_writing(ledger):
    """What was told as written is there; the chain holds; writing goes on."""
    for attempt in range(3):
        process = start(ledger, 100_000, f"killed{attempt}")
        told = [int(process.stdout.readline()) for _ in range(20 + 7 * attempt)]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        told += [int(line) for line in process.stdout.read().splitlines()]
        process.stdout.close()
        written = [e.payload["number"] for e in ledger.entries(f"killed{attempt}")]
        assert written == list(range(len(written)))
        assert len(written) - len(told) in (0, 1)  # one may have been written and not told
        assert ledger.verify() == len(ledger.entries())
        with ledger.writing() as writer:
            writer.append("note", {})
        ledger.verify()
