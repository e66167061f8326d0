"""Files on disk: their names, digests, sidecars, locks, and how they are published."""
