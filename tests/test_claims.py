"""Claims: each task of a study is done once, by one of several processes, also where processes die or are silent."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from unpool.errors import DataError, RunError, UnpoolError, UsageError
from unpool.study.address import Address
from unpool.study.claims import Alone, Claims, shared_claims
from unpool.study.worker import Worker, this_worker

pytest.importorskip("optuna", reason="the search extra is not installed")

from unpool.study.optuna_claims import OptunaClaims
from unpool.study.storage import Signs

ELSEWHERE = Worker("another machine", 1)
PASSWORD = "b{1}%/Wort"
"""A password with characters that mean something in an address, in Optuna's template and in alembic's settings."""
QUOTED = "b{1}%25%2FWort"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server that runs for these tests alone."""
    pytest.importorskip("psycopg2", reason="the postgresql extra is not installed")
    found = shutil.which("initdb")
    if not found:
        pytest.skip("no PostgreSQL server is installed: initdb is not found")
    import pwd

    programs = Path(found).resolve().parent
    person = os.getuid()
    if not person:  # the server refuses to run as root
        person = next((each.pw_uid for each in pwd.getpwall() if each.pw_name in ("postgres", "nobody")), 0)
        if not person:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
    folder = Path(tempfile.mkdtemp(prefix="unpool-postgresql-"))
    (folder / "password").write_text(PASSWORD)
    for path in (folder, folder / "password"):
        os.chown(path, person, -1)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(program: str, *words: str) -> None:
        subprocess.run(
            [str(programs / program), *words], check=True, cwd=folder, user=person, stdout=subprocess.DEVNULL
        )

    data = str(folder / "data")
    call("initdb", "-D", data, "-U", "unpool", "-A", "scram-sha-256", "--pwfile", str(folder / "password"), "-N")
    settings = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    call("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", settings, "start")
    try:
        yield f"postgresql://unpool:{QUOTED}@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


PARALLEL = pytest.mark.parametrize("place", ["file", "postgresql"], indirect=True)
"""Without SQLite, which is slow and not made for several processes; it shows that other databases work at all."""


@pytest.fixture(params=["file", "sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    """Where the claims are kept: each kind of storage, empty."""
    if request.param == "postgresql":
        address = request.getfixturevalue("server")
        with closing(connection(address)) as open_connection, open_connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            open_connection.commit()
        yield address
    else:
        yield None if request.param == "file" else f"sqlite:///{tmp_path}/claims.db"


def connection(address: str) -> Any:
    import psycopg2

    return psycopg2.connect(address)


Opened = Callable[..., OptunaClaims]


@pytest.fixture
def opened(place: str | None, tmp_path: Path) -> Iterator[Opened]:
    """Open the claims of one more worker of the study; what is open is closed after the test."""
    every: list[OptunaClaims] = []

    def one_more(worker: Worker | None = None, **options: Any) -> OptunaClaims:
        every.append(OptunaClaims(place, tmp_path, "study", worker=worker, **{"signs": Signs(1, 2), **options}))
        return every[-1]

    yield one_more
    for claims in every:
        if claims._storage.database is not None:
            claims._storage.database.engine.dispose()


def contract(claims: Claims) -> None:
    """What holds for all claims, where one process uses them."""
    assert claims.results() == {}
    assert claims.workers() == 0
    with claims.working():
        assert claims.claim("a")
        assert not claims.claim("a")
        assert claims.holds("a")
        assert not claims.holds("b")
        assert claims.workers() == 1
        assert claims.finish("a", {"score": 0.5, "list": [1, None, "Zürich"]})
        assert not claims.holds("a")
        assert not claims.claim("a")
        assert claims.claim("b")
        assert claims.claim("c")
        claims.give_back("b")
        claims.give_back("b")
        claims.give_back("a")
        assert not claims.holds("b")
        assert claims.claim("b")
        assert claims.finish("b", {})
        assert claims.finish("c", {"text": "x" * 100_000})
    with pytest.raises(KeyError):
        claims.finish("d", {})
    with pytest.raises(KeyError):
        claims.finish("a", {})
    assert claims.workers() == 0
    found = claims.results()
    assert list(found["a"]["list"]) == [1, None, "Zürich"]
    assert set(found) == {"a", "b", "c"}


def test_one_process_alone() -> None:
    contract(Alone())


def test_one_process_of_several(opened: Opened) -> None:
    contract(opened())


def test_a_task_has_one_process(opened: Opened) -> None:
    first, second = opened(), opened(ELSEWHERE)
    assert first.claim("a")
    assert not second.claim("a")
    assert second.claim("b")
    assert first.workers() == second.workers() == 2
    assert not second.holds("a")
    second.give_back("a")
    assert first.finish("a", {"by": 1})
    assert not second.claim("a")
    assert second.results() == {"a": {"by": 1}}
    second.give_back("b")
    assert first.claim("b")
    assert opened().results() == {"a": {"by": 1}}


def test_studies_do_not_meet(opened: Opened, place: str | None, tmp_path: Path) -> None:
    first = opened()
    other = OptunaClaims(place, tmp_path, "another")
    assert first.claim("a")
    assert other.claim("a")
    assert first.finish("a", {})
    assert other.results() == {}
    if other._storage.database is not None:
        other._storage.database.engine.dispose()


def test_of_two_trials_for_one_task_the_first_counts(opened: Opened) -> None:
    """Two processes make a trial each, because neither saw that of the other."""
    first, second = opened(), opened(ELSEWHERE)
    late = second._trial_of
    seen: list[Any] = []

    def behind(task: str) -> Any:
        seen.append(late(task) if seen else None)
        return seen[-1]

    assert first.claim("a")
    second._trial_of = behind  # type: ignore[method-assign]
    assert not second.claim("a")
    assert len(second._storage.study.get_trials()) == 2
    first.give_back("a")
    assert second.claim("a")
    assert not first.claim("a")


@PARALLEL
def test_a_task_is_given_back_when_the_work_ends(opened: Opened) -> None:
    first, second = opened(), opened()

    def interrupted() -> None:
        with first.working():
            assert first.claim("a")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not first.holds("a")
    assert second.claim("a")


@pytest.mark.parametrize(
    ("place", "taken"), [("file", True), ("file", False), ("postgresql", True)], indirect=["place"]
)
def test_a_silent_process_loses_its_task(taken: bool, opened: Opened) -> None:
    """A laptop that slept: its result counts where nobody has the task, and else not."""
    now = [0.0]
    sleeper, other = opened(ELSEWHERE), opened(clock=lambda: now[0])
    assert sleeper.claim("a")
    if database := other._storage.database is not None:
        time.sleep(1)
    assert not other.claim("a")
    now[0] = 2
    assert not other.claim("a")
    if database:
        time.sleep(2.1)
    now[0] = 2.1
    assert other.claim("a")
    assert sleeper.holds("a")
    sleeper._sign("a")
    assert not sleeper.holds("a")
    if not taken:
        other.give_back("a")
    assert sleeper.finish("a", {"by": "sleeper"}) is not taken
    assert not sleeper.holds("a")
    if taken:
        assert other.finish("a", {"by": "other"})
    else:
        assert not other.claim("a")
    assert sleeper.results() == other.results() == {"a": {"by": "other" if taken else "sleeper"}}


@PARALLEL
def test_a_process_that_dies_before_its_first_sign_loses_its_task(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    dying, other = opened(ELSEWHERE), opened(clock=lambda: now[0])
    monkeypatch.setattr(dying, "_sign", lambda _: None)
    assert dying.claim("a")
    assert not other.claim("a")
    if other._storage.database is not None:
        time.sleep(3.1)
    now[0] = 2.1
    assert other.claim("a")


def test_tables_that_another_process_makes_meanwhile_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.exc import IntegrityError, OperationalError

    from unpool.study import storage

    real, tries = storage.RDBStorage, [IntegrityError, OperationalError]

    def meanwhile(*words: Any, **options: Any) -> Any:
        if tries:
            raise tries.pop()("CREATE TABLE", {}, Exception("the table already exists"))
        return real(*words, **options)

    monkeypatch.setattr(storage, "RDBStorage", meanwhile)
    claims = OptunaClaims(f"sqlite:///{tmp_path}/claims.db", tmp_path, "study")
    assert not tries
    assert claims.claim("a")
    claims._storage.database.engine.dispose()  # type: ignore[union-attr]


@PARALLEL
def test_signs_of_life_keep_a_task(opened: Opened) -> None:
    first, second = opened(ELSEWHERE), opened()
    with first.working():
        assert first.claim("a")
        for _ in range(6):
            assert not second.claim("a")
            time.sleep(0.5)
        assert first.finish("a", {})


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_a_sign_that_fails_is_given_again(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    signs_of_life = Signs(1, 5)
    first, second = opened(ELSEWHERE, signs=signs_of_life), opened(signs=signs_of_life)
    signs: list[str] = []
    sign = first._sign

    def second_works(task: str) -> None:
        signs.append(task)
        if len(signs) == 1:
            raise RunError("no disk", "a disk", "wait")
        sign(task)

    assert first.claim("a")
    monkeypatch.setattr(first, "_sign", second_works)
    with first.working():
        for _ in range(14):
            assert not second.claim("a")
            time.sleep(0.5)
        assert first.finish("a", {})
    assert len(signs) >= 2


# Processes


Process = subprocess.Popen[bytes]


@contextmanager
def process(place: str | None, folder: Path, tasks: list[str], seconds: float, **more: Any) -> Iterator[Process]:
    """A process that does tasks, which is killed where it has not ended."""
    given = {"storage": place, "folder": str(folder), "tasks": tasks, "seconds": seconds, "machine": "", "silence": 2}
    given |= more
    program = [sys.executable, "-W", "error", str(Path(__file__).with_name("claiming.py")), json.dumps(given)]
    with (folder / "printed").open("ab") as printed:
        started = subprocess.Popen(program, stdout=printed, stderr=printed)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def wait_until(true: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, (folder / "printed").read_text()
        time.sleep(0.01)


def notes(folder: Path) -> list[list[str]]:
    return [path.read_text().split() for path in sorted(folder.glob("*.notes"))]


@PARALLEL
def test_two_processes_do_each_task_once(place: str | None, tmp_path: Path, opened: Opened) -> None:
    tasks = [f"{number:02}-skip-add/seed-1" for number in range(12)]
    with process(place, tmp_path, tasks, 0.1) as one, process(place, tmp_path, tasks, 0.1) as two:
        wait_until(lambda: len(notes(tmp_path)) == 2, tmp_path)
        (tmp_path / "go").touch()
        codes = [each.wait(30) for each in (one, two)]
    assert (codes, (tmp_path / "printed").read_text()) == ([0, 0], "")
    first, second = notes(tmp_path)
    assert sorted(first + second) == tasks
    assert first
    assert second
    results = opened().results()
    assert sorted(results) == tasks
    assert {result["by"] for result in results.values()} == {one.pid, two.pid}


@PARALLEL
@pytest.mark.parametrize("machine", ["", "another machine"])
def test_the_task_of_a_killed_process_is_done_by_another(
    machine: str, place: str | None, tmp_path: Path, opened: Opened
) -> None:
    """On this machine the death is seen at once; on another, by its silence."""
    tasks = ["long", "other"]
    (tmp_path / "go").touch()
    silence = 2 if machine else 1000
    with process(place, tmp_path, tasks, 100, machine=machine, silence=silence) as killed:
        wait_until(lambda: notes(tmp_path) == [["long"]], tmp_path)
        watching = opened(signs=Signs(1, silence))
        assert not watching.claim("long")
        assert watching.workers() == 1
        killed.send_signal(signal.SIGKILL)
        if machine:
            assert not watching.claim("long")
        with process(place, tmp_path, tasks, 0.1, silence=silence) as rest:
            code = rest.wait(30)
    assert (code, (tmp_path / "printed").read_text()) == (0, "")
    assert sorted(map(sorted, notes(tmp_path))) == [["long"], ["long", "other"]]
    assert {each["by"] for each in watching.results().values()} == {rest.pid}


def test_a_process_that_ended_is_known_on_its_machine() -> None:
    here = this_worker()
    assert not here.has_ended(here.machine)
    child = subprocess.Popen([sys.executable, "-c", ""])
    ended = Worker(here.machine, child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    if here.started:
        assert ended.has_ended(here.machine)  # it is listed until its parent takes its exit code
    child.wait()
    assert ended.has_ended(here.machine)
    assert not ended.has_ended("another machine")
    if here.started:
        assert Worker(here.machine, here.process, "1").has_ended(here.machine)  # its number was given again
    assert not Worker(here.machine, 1).has_ended(here.machine)
    assert not Worker(here.machine, 1 << 70).has_ended(here.machine)
    assert not Worker(here.machine, -1).has_ended(here.machine)
    assert Worker.from_data({"machine": "m", "process": "1", "started": ""}) is None
    assert Worker.from_data(None) is None


# Faults


def test_without_optuna_the_extra_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['optuna'] = None\n"
        "from pathlib import Path\nfrom unpool.study.claims import shared_claims\n"
        "from unpool.errors import UsageError\n"
        f"try: shared_claims(None, Path({str(tmp_path)!r}), 'study')\n"
        "except UsageError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'unpool[search]'" in done.stdout


def test_optuna_and_torch_are_imported_only_when_they_are_needed() -> None:
    program = (
        "import sys, unpool.study.claims; print({'optuna', 'sqlalchemy', 'torch'} & set(sys.modules)); "
        "import unpool.study.optuna_claims; print({'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "set()"]


@pytest.mark.parametrize(
    "content",
    ["notes of mine\n", "notes of mine", '{"a": 1}\n', "[]\n", "\0" * 100, "\n\n"],
)
def test_a_foreign_file_is_refused_and_kept(content: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.log"
    path.write_text(content)
    with pytest.raises(DataError, match="no file of claims") as refused:
        shared_claims(None, tmp_path, "study")
    assert str(path) in refused.value.found
    assert path.read_text() == content


@pytest.mark.parametrize("damage", ["half", "odd", "number"])
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.log"
    claims = shared_claims(None, tmp_path, "study")
    assert claims.claim("a")
    lines = path.read_text().splitlines(keepends=True)
    lines[1] = {"half": lines[1][:20], "odd": '{"op_code": 77}\n', "number": "7\n"}[damage]
    path.write_text("".join(lines))
    with pytest.raises(DataError, match="damaged"):
        shared_claims(None, tmp_path, "study")


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="No such file"):
        shared_claims(None, tmp_path / "gone", "study")
    (tmp_path / "claims.log").mkdir()
    with pytest.raises(RunError, match="Is a directory"):
        shared_claims(None, tmp_path, "study")


def test_a_lock_that_another_process_took_is_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.storages.journal import JournalFileOpenLock

    claims = shared_claims(None, tmp_path, "study")
    release = JournalFileOpenLock.release

    def twice(lock: JournalFileOpenLock) -> None:
        release(lock)
        release(lock)

    monkeypatch.setattr(JournalFileOpenLock, "release", twice)
    with pytest.raises(RunError, match="its lock was taken"):
        claims.claim("a")


@pytest.mark.parametrize(
    ("address", "kind", "shown"),
    [
        ("postgresql://me:geheim@127.0.0.1:1/d", RunError, "postgresql://me@127.0.0.1:1/d: "),
        ("postgresql://me@127.0.0.1:1/d?password=geheim", RunError, "postgresql://me@127.0.0.1:1/d: "),
        ("postgresql://me:ge@heim@127.0.0.1:1/d", RunError, "postgresql://…: "),
        ("postgresql://me:{geheim}@127.0.0.1:1/d", RunError, "postgresql://me@127.0.0.1:1/d: "),
        ("postgresql://me:geheim@127.0.0.1:port/d", UsageError, "postgresql://…: "),
        ("postgres://me:geheim@127.0.0.1/d", UsageError, "postgres://me@127.0.0.1/d: "),
        ("oracle://me:geheim@127.0.0.1/d", UsageError, "oracle://me@127.0.0.1/d: "),
        ("me:geheim@127.0.0.1", UsageError, "--storage: "),
        ("", UsageError, "--storage: "),
        ("sqlite:////gone/claims.db", RunError, "sqlite:////gone/claims.db: unable to open"),
    ],
)
def test_an_address_that_fails_is_named_without_its_password(
    address: str, kind: type[UnpoolError], shown: str, tmp_path: Path
) -> None:
    pytest.importorskip("psycopg2", reason="the postgresql extra is not installed")
    with pytest.raises(kind) as refused:
        shared_claims(address, tmp_path, "study")
    assert refused.value.found.startswith(shown)
    assert len(refused.value.found) > len(shown)
    assert not any(part in str(refused.value) for part in ("geheim", "heim", "ge@"))
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_wrong_password_is_named_and_not_shown(server: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="password authentication failed") as refused:
        shared_claims(server.replace(QUOTED, "unpoolish"), tmp_path, "study")
    assert "unpoolish" not in str(refused.value)


def test_a_password_is_taken_out_of_a_message() -> None:
    address = Address("postgresql://me:a%25b@host/d?sslpassword=c&connect_timeout=3")
    assert address.without_secrets("a%25b, a%b, c and d\nmore") == "***, ***, *** and d"
    assert address.shown == "postgresql://me@host/d"
    assert Address("postgresql://host?password=a@b").shown == "postgresql://…"


def test_a_server_that_ends_is_a_typed_error(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = opened()
    if claims._storage.database is None:
        pytest.skip("a file has no server")
    assert claims.claim("a")
    from sqlalchemy.exc import OperationalError

    def gone(*_: object, **__: object) -> None:
        raise OperationalError("SELECT", {}, Exception("the server closed the connection"))

    monkeypatch.setattr(claims._storage.database, "set_trial_user_attr", gone)
    with pytest.raises(RunError, match="the server closed the connection"):
        claims.finish("a", {})
    monkeypatch.undo()
    assert claims.finish("a", {"second": True})


@pytest.mark.parametrize("place", ["file", "sqlite"], indirect=True)
def test_nothing_is_printed(place: str | None, tmp_path: Path) -> None:
    """Neither what Optuna logs about a study, nor its warnings, nor those of the database's library."""
    program = (
        "import logging\nfrom pathlib import Path\nfrom unpool.study.claims import shared_claims\n"
        f"for _ in range(2):\n  claims = shared_claims({place!r}, Path({str(tmp_path)!r}), 'study')\n"
        "  claims.claim('a')\n"
        "logging.getLogger('optuna.storages.journal._file').warning('a lock takes long')\n"
        "logging.getLogger('sqlalchemy.pool').error('no connection')\n"
    )
    done = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
