"""The surroundings of training: offline, silent, and as before afterwards."""

import warnings

import pytest

from publius.errors import MissingExtra
from publius.training import environment

pytest.importorskip("trl")


def _switches() -> tuple[bool, bool, bool]:
    import datasets
    from huggingface_hub import constants

    no_bars = datasets.are_progress_bars_disabled()
    return constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_TELEMETRY, no_bars


def _interrupted() -> None:
    with environment.quiet():
        assert _switches() == (True, True, True)
        raise KeyboardInterrupt


def test_quiet_is_offline_and_puts_everything_back() -> None:
    before = _switches()
    with pytest.raises(KeyboardInterrupt):
        _interrupted()
    assert _switches() == before


def test_only_known_warnings_are_silenced() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with environment.quiet():
            warnings.warn("`gradient_checkpointing` is deprecated", FutureWarning, stacklevel=1)
            warnings.warn("something else", FutureWarning, stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["something else"]


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_EXTRA_MODULES", ("torch", "no_such_module_at_all"))
    with pytest.raises(MissingExtra, match="no_such_module_at_all"):
        environment.require_training()


def test_device_knows_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.find_device().is_first
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    device = environment.find_device()
    assert (device.n_processes, device.is_first) == (2, False)
