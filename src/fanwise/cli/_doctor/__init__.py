"""What ``fanwise doctor`` looks at: one module for each kind of thing, all of them only look."""
