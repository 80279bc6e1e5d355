from pathlib import Path

import pytest

from unpool.errors import DataError, RunError
from unpool.io import atomic_path, read_json, safe_child, write_json, write_text


def test_text_is_written_whole_and_leaves_no_draft(tmp_path: Path) -> None:
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


def test_what_cannot_be_written_is_said_in_three_parts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        RunError, match=r"file/a\.txt: cannot be written \(.+\)\n  expected: .*\n  to do:    free"
    ) as error:
        write_text(tmp_path / "file" / "a.txt", "x")
    assert isinstance(error.value.__cause__, OSError)


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


def test_a_child_inside_is_given(tmp_path: Path) -> None:
    assert safe_child(tmp_path, "a/b.png") == tmp_path.resolve() / "a" / "b.png"
    (tmp_path / "link").symlink_to("/")
    with pytest.raises(DataError):
        safe_child(tmp_path, "link/x")
