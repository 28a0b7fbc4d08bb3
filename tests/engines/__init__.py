"""Tests of the engines; `conformance.py` is a suite for any engine."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.conformance")
