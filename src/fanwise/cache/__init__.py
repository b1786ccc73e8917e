"""Results kept between calls, processes and runs: the right value or a miss."""
