import errno
import os
from pathlib import Path

import pytest

from unpool.errors import DataError, RunError
from unpool.io.documents import read_json
from unpool.io.files import (
    append_text,
    atomic_path,
    draft_beside,
    drafts,
    is_draft,
    keep_as,
    put_in_place,
    safe_child,
    write_bytes,
    write_json,
    write_text,
)


def test_text_is_written_and_leaves_no_draft(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "ä\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "ä\n".encode()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail() -> None:
        with atomic_path(target) as draft:
            draft.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_long_names_fit(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 251 + ".txt"), "x")


def test_a_failed_write_has_an_error_of_three_parts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        RunError, match=r"file/a\.txt: cannot be written \(.+\)\n  expected: .*\n  to do:    free"
    ) as error:
        write_text(tmp_path / "file" / "a.txt", "x")
    assert isinstance(error.value.__cause__, OSError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_the_error_of_a_full_disk_names_the_room_needed(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(RunError) as error:
        write_bytes(tmp_path / "a.bin", bytes(2_340_000))
    assert str(error.value) == (
        f"{tmp_path}/a.bin: cannot be written ({os.strerror(number)})\n"
        f"  expected: room for 2.3 MB in {tmp_path}\n"
        "  to do:    free some space there, or raise the quota or the limit on file sizes"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


def test_a_file_and_then_its_swap_are_brought_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flushed(handle: int) -> None:
        calls.append("folder" if os.path.samestat(os.fstat(handle), tmp_path.stat()) else "file")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", lambda *given: (calls.append("swap"), replace(*given)))
    write_text(tmp_path / "a.txt", "x")
    assert calls == ["file", "swap", "folder"]


@pytest.mark.parametrize(("number", "raised"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_flush_folders_is_no_error(
    number: int, raised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    draft = draft_beside(tmp_path / "a.txt")
    draft.write_text("x")
    monkeypatch.setattr(os, "fsync", refuse)
    if raised:
        with pytest.raises(OSError, match=os.strerror(number)):
            put_in_place(draft, tmp_path / "a.txt")
    else:
        put_in_place(draft, tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "x"


def test_only_drafts_have_the_names_of_drafts(tmp_path: Path) -> None:
    mine = [draft_beside(tmp_path / name) for name in ("state.pt", "a", "x.tar.gz")]
    others = [".unpool-output", ".0123456789ab.pt", "state.pt", ".unpool-0123456789AB.pt", ".unpool-0123456789abc.pt"]
    for path in (*mine, *(tmp_path / name for name in others)):
        path.touch()
    assert drafts(tmp_path) == sorted(mine)
    assert not any(map(is_draft, others))
    assert drafts(tmp_path / "nowhere") == []


def test_a_file_kept_under_another_name_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, kept = tmp_path / "a.txt", tmp_path / "b.txt"
    keep_as(path, kept)
    assert not kept.exists()
    for text in ("one", "two", "three"):
        keep_as(path, kept)
        keep_as(path, kept)
        write_text(path, text)
    assert (path.read_text(), kept.read_text()) == ("three", "two")

    def unknown(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", unknown)
    keep_as(path, kept)
    assert path.read_text() == "three"


def test_text_is_appended(tmp_path: Path) -> None:
    append_text(tmp_path / "a.txt", "ä\n")
    append_text(tmp_path / "a.txt", "b\n")
    assert (tmp_path / "a.txt").read_bytes() == "ä\nb\n".encode()
    with pytest.raises(RunError, match=r"nowhere/a\.txt: cannot be written"):
        append_text(tmp_path / "nowhere" / "a.txt", "x")


def test_json_round_trip_and_broken_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"k": [1, 2.5, "ü"]})
    assert read_json(tmp_path / "a.json") == {"k": [1, 2.5, "ü"]}
    (tmp_path / "b.json").write_text('{"k": ')
    with pytest.raises(DataError, match=r"b\.json: no valid JSON"):
        read_json(tmp_path / "b.json")
    with pytest.raises(DataError, match=r"c\.json: No such file"):
        read_json(tmp_path / "c.json")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "."])
def test_a_child_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="a path inside"):
        safe_child(tmp_path, name)


def test_a_child_inside_its_folder_is_accepted(tmp_path: Path) -> None:
    assert safe_child(tmp_path, "a/b.png") == tmp_path.resolve() / "a" / "b.png"
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(DataError, match="link/x leads through a link to /x") as refusal:
        safe_child(tmp_path, "link/x")
    assert "remove the link" in refusal.value.repair
