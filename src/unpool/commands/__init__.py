"""The verbs, each told in order; the only place that joins everything."""
