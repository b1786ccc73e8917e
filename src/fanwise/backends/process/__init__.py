"""Worker processes: one socket each, nothing shared between them."""
