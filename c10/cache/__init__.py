"""What lies in a cache_root: listed, tidied, set aside."""
