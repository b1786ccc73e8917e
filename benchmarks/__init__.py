"""Measurements: ratios in one run, interleaved, minimum or median of several rounds. Never part of the tests."""
