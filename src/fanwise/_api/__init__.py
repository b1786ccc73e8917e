"""The public verbs: the only place that composes engine, backends, cache, bundle, progress and report."""
