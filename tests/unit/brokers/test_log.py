import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.brokers.paper.log import DurableLog, decode, encode, recover
from mts1b.foundation.errors import DataError, StackError

entries = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20) | st.none(), max_size=4)


@given(st.lists(entries, max_size=6), st.data())
def test_a_log_cut_anywhere_keeps_its_whole_lines(stored: list[dict[str, Any]], data: st.DataObject) -> None:
    lines = [encode(entry) for entry in stored]
    content = b"".join(lines)
    cut = data.draw(st.integers(0, len(content)))
    found, sound = recover(content[:cut], Path("log"))
    assert found == stored[: len(found)]
    assert sound == len(b"".join(lines[: len(found)])) <= cut


@given(st.lists(entries, min_size=2, max_size=6), st.data())
def test_a_damaged_line_is_found(stored: list[dict[str, Any]], data: st.DataObject) -> None:
    content = bytearray(b"".join(encode(entry) for entry in stored))
    place = data.draw(st.integers(0, len(encode(stored[0])) - 2))
    content[place] ^= 0x01
    if b"\n" in content[: len(encode(stored[0])) - 1]:
        return  # the flip made a newline: the line is two torn ones, covered below
    with pytest.raises(DataError, match="log:1"):
        recover(bytes(content), Path("log"))


def test_garbage_is_no_entry() -> None:
    for line in (b"", b"x", b"00000000 {}", b"\xff\xfe"):
        assert decode(line) is None


def test_entries_come_back_and_one_process_holds_the_log(tmp_path: Path) -> None:
    async def write(log: DurableLog) -> None:
        await asyncio.gather(*(log.append({"n": number}) for number in range(50)))

    path = tmp_path / "log"
    log = DurableLog(path)
    asyncio.run(write(log))
    with pytest.raises(StackError, match="held by another"):
        DurableLog(path)
    log.close()
    with path.open("ab") as file:
        file.write(b"torn")
    again = DurableLog(path)
    assert again.entries == [{"n": number} for number in range(50)]
    again.close()
    assert not path.read_bytes().endswith(b"torn")


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="use another folder"):
        DurableLog(tmp_path / "missing" / "log")


def test_a_failed_write_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = DurableLog(tmp_path / "log")

    def full(_lines: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log, "_write", full)
    with pytest.raises(StackError, match="No space left"):
        asyncio.run(log.append({}))
    log.close()
