"""Frozen data: one copy for every process."""
