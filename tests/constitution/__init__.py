"""Tests of the constitution room."""
