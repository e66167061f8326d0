"""The code of the compiling process, started through ``worker``. Only this folder imports a compiler."""
