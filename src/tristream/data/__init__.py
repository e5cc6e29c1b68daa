"""Data sets as manifests: one table per data set, readers that make it, splits by group, the shortcut audit."""
