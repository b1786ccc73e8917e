"""Frozen values that pass between the layers: outcomes, scheduling events and commands, run events."""
