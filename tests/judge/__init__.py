"""Tests of the judge; `asking.py` has questions and judges by rule."""
