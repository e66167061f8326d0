"""One engine is built: lock, compile, record, sign; and what is told of it."""
