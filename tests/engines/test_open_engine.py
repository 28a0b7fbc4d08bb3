"""Opening engines by name: built in, from another package, missing, misspelt."""

import struct
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import publius
from publius.engines import (
    BUILT_IN,
    BUILT_IN_REMOTE,
    GROUP,
    REMOTE_GROUP,
    EngineSpec,
    engine_names,
    is_remote,
    open_engine,
)
from publius.engines.deferred import DeferredEngine
from publius.errors import DataError, EngineError

SOURCE = Path(publius.__file__).parents[1]
OURS = (*BUILT_IN, *BUILT_IN_REMOTE)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A GGUF file without fields and tensors."""
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    return path


def install(site: Path, name: str, code: str, *, entry: str, group: str = GROUP) -> None:
    """Put a package into `site` that registers an engine, as pip would leave it there."""
    site.mkdir(exist_ok=True)
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")


def test_the_built_in_engines_are_registered_like_those_of_other_packages():
    project = SOURCE.parent / "pyproject.toml"
    for group, built_in in ((GROUP, BUILT_IN), (REMOTE_GROUP, BUILT_IN_REMOTE)):
        if project.exists():  # in a source tree
            assert tomllib.loads(project.read_text())["project"]["entry-points"][group] == built_in
        installed = {point.name: point.value for point in entry_points(group=group)}
        assert installed.items() >= built_in.items()


def test_a_source_tree_without_installed_metadata_knows_the_built_in_engines():
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n"
        "from publius.engines import engine_names; print(*engine_names())\n"
        "loaded = set(sys.modules) & {'publius.engines.' + name for name in engine_names()}\n"
        "assert not loaded, loaded\n"
    )
    # -S: no site-packages, so neither metadata nor any third-party library
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.split() == list(OURS)


def test_an_unknown_engine_names_the_near_one_and_all():
    with pytest.raises(DataError, match="did you mean 'transformers'") as caught:
        open_engine(EngineSpec("transformer", "no-such-model"))
    for name in engine_names():
        assert name in str(caught.value)


def test_an_unknown_model_is_said_too(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        open_engine(EngineSpec("scripted", str(tmp_path / "gone.gguf")))


@pytest.mark.parametrize(
    ("engine", "library", "extra"),
    [("openvino", "openvino_genai", "local"), ("transformers", "torch", "train")],
)
def test_a_missing_library_names_its_extra(engine: str, library: str, extra: str, weights: Path):
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"  # what Python does when a library is not there
        "from publius.engines import EngineSpec, open_engine\n"
        "from publius.errors import MissingExtra\n"
        f"try: open_engine(EngineSpec({engine!r}, {str(weights)!r}))\n"
        "except MissingExtra as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert library in done.stdout
    assert f"publius[{extra}]" in done.stdout


def test_an_engine_of_another_package(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch):
    code = (
        "from publius.engines.deferred import DeferredEngine\n"
        "from publius.engines.protocol import ModelIdentity\n"
        "def open_it(path, *, name, options):\n"
        "    return DeferredEngine(ModelIdentity(f'{name} {path.name} {dict(options)}', 'sha256:0'), list)\n"
    )
    install(tmp_path / "site", "strange_engine", code, entry="strange = strange_engine:open_it")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert engine_names() == (*OURS, "strange")
    assert not is_remote("strange")
    engine = open_engine(EngineSpec("strange", str(weights), {"threads": 2}))
    assert isinstance(engine, DeferredEngine)
    assert engine.model.name == f"{weights} weights.gguf {{'threads': 2}}"


def test_a_remote_engine_of_another_package_needs_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = (
        "from publius.engines.deferred import DeferredEngine\n"
        "from publius.engines.protocol import ModelIdentity\n"
        "def open_it(model, *, options):\n"
        "    return DeferredEngine(ModelIdentity(f'{model} {dict(options)}', 'name:' + model), list)\n"
    )
    install(tmp_path / "site", "far_engine", code, entry="far = far_engine:open_it", group=REMOTE_GROUP)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert is_remote("far")
    engine = open_engine(EngineSpec("far", "no/such-file", {"url": "here"}))
    assert engine.model.name == "no/such-file {'url': 'here'}"


def test_another_package_cannot_take_the_name_of_a_built_in_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = "raise SystemExit('the wrong engine was loaded')\n"
    install(tmp_path / "site", "taking_engine", code, entry="scripted = taking_engine:open_it")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert engine_names().count("scripted") == 1
    with pytest.raises(DataError, match="no such file"):
        open_engine(EngineSpec("scripted", str(tmp_path / "gone.gguf")))


@pytest.mark.parametrize(
    ("code", "says"),
    [("import a_library_that_is_nowhere\n", "a_library_that_is_nowhere"), ("", "does not exist")],
)
def test_a_broken_engine_of_another_package_is_named(
    code: str, says: str, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
):
    name = "broken_engine_" + ("a" if code else "b")
    install(tmp_path / "site", name, code, entry=f"broken = {name}:open_it")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(EngineError, match=says) as caught:
        open_engine(EngineSpec("broken", str(weights)))
    assert f"{name}:open_it" in str(caught.value)
