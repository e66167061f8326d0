"""Lists the engines of a cache_root, removes unneeded and orphaned files, and quarantines damaged engines."""
