"""Deciding when and where items run (pure), and doing what was decided (driver, resources, interrupts)."""
