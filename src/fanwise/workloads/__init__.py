"""Four jobs that ship on fanwise; each is a Python API first and a command second."""
