"""What ``fanwise bench`` is made of: grid, contestants, rounds, figures, gates, views."""
