"""Places where items run: this process, its threads, worker processes, clusters."""
