"""The compiling process: only this folder imports a compiler, and only ``worker`` starts it."""
