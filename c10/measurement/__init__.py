"""Does a converted network compute what the user's ONNX computes? Both are run on the same inputs and compared.

The converted network is run in arithmetic that rounds every value of 16 bits to 16 bits, overflow to infinity included
(``emulation``); the original is run as it is. `measure` does it in a process of its own and returns a
`MeasurementReport`. Needs onnxruntime, the extra ``check``.

Importing this package imports neither onnx nor numpy nor onnxruntime; the functions do when they are called.
"""
