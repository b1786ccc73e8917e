"""Fakes, scripted faults and leak checks for programs that use fanwise."""
