"""Networks with constants that fp16 does not hold, or holds and must not poison the rest."""

from __future__ import annotations

import numpy as np

from .case import W, X, case, floats, integers, normal, uniform

_CHANNELS = {"x": normal(1, 2, 8)}
CONSTANTS = (
    case(
        "constants/timestamps, float",
        "g (float[2,8] t) => (float[2,8] y) {d = Sub (t, base) s = Mul (d, k) y = MatMul (s, w)}",
        {"t": (1.7e9 + 128 * integers(0, 64, 2, 8)).astype(np.float32)},
        base=1.7e9,
        k=1e-3,
        w=W,
        half=("MatMul",),
    ),
    case(
        "constants/timestamps, int64",
        """g (int64[2,8] t) => (float[2,8] y) { d = Sub (t, base) f = Cast <to = 1> (d) s = Div (f, k)
            y = MatMul (s, w)}""",
        {"t": 1_700_000_000 + integers(0, 86400, 2, 8)},
        base=1_700_000_000,
        k=86400.0,
        w=W,
        half=("MatMul",),
    ),
    case(
        "constants/timestamps of 1e9 as they are",
        "g (int64[2,8] t) => (float[2,8] y) {f = Cast <to = 1> (t) y = Mul (f, k)}",
        {"t": 1_700_000_000 + integers(0, 10**8, 2, 8)},
        k=1e-9,
    ),
    case(
        "constants/Clip(0, 3.4e38)",
        """g (float[1,1,16] x) => (float[1,4,12] y) {a = Conv (x, v) b = Clip (a, zero, high) y = Conv (b, w)}""",
        {"x": normal(1, 1, 16)},
        zero=0.0,
        high=3.4e38,
        v=normal(2, 1, 3),
        w=normal(4, 2, 3),
        half=("Conv",),
    ),
    case(
        "constants/Clip-6 without bounds",
        """g (float[1,1,16] x) => (float[1,4,12] y) {a = Conv (x, v) b = Clip <min = 0.0> (a) y = Conv (b, w)}""",
        {"x": normal(1, 1, 16)},
        opset=9,
        ir=5,
        v=normal(2, 1, 3),
        w=normal(4, 2, 3),
        half=("Conv",),
    ),
    case(
        "constants/Clip-6 with 3.4e38",
        """g (float[1,1,16] x) => (float[1,4,12] y) { a = Conv (x, v) b = Clip <min = 0.0, max = 3.4e38> (a)
            y = Conv (b, w)}""",
        {"x": normal(1, 1, 16)},
        opset=9,
        ir=5,
        v=normal(2, 1, 3),
        w=normal(4, 2, 3),
        half=("Conv",),
    ),
    case(
        "constants/Max with a floor of 1e-30",
        "g (float[1,1,16] x) => (float[1,4,12] y) {a = Conv (x, v) b = Max (a, low) y = Conv (b, w)}",
        {"x": normal(1, 1, 16)},
        low=1e-30,
        v=normal(2, 1, 3),
        w=normal(4, 2, 3),
    ),
    case(
        "constants/down and up again",
        "g (float[2,8] x) => (float[2,8] y) {a = Mul (x, down) y = Mul (a, up)}",
        {"x": X},
        down=1e-8,
        up=1e8,
    ),
    case(
        "constants/a weight of 1e5",
        "g (float[2,8] x) => (float[2,8] y) {a = MatMul (x, w) b = Mul (a, k) y = MatMul (b, v)}",
        {"x": X},
        w=np.where(np.eye(8) > 0, 1e5, W).astype(np.float32),
        k=1e-4,
        v=W,
    ),
    case(
        "constants/a tiny weight among many",
        "g (float[2,64] x) => (float[2,64] y) {y = MatMul (x, w)}",
        {"x": normal(2, 64)},
        w=np.where(np.eye(64) > 0, 1e-12, normal(64, 64)).astype(np.float32),
        half=("MatMul",),
    ),
    case(
        "constants/BatchNormalization, mean and variance out of range",
        """g (float[1,2,8] x) => (float[1,2,8] y) {a = Mul (x, k) y = BatchNormalization (a, s, s, m, v)}""",
        _CHANNELS,
        k=1e5,
        s=np.ones(2, np.float32),
        m=floats([1e5, -1e5]),
        v=floats([1e10, 4e10]),
    ),
    case(
        "constants/BatchNormalization, tiny variance",
        """g (float[1,2,8] x) => (float[1,2,8] y) { a = Mul (x, k)
            y = BatchNormalization <epsilon = 1e-12> (a, s, s, m, v)}""",
        _CHANNELS,
        k=1e-4,
        s=np.ones(2, np.float32),
        m=np.zeros(2, np.float32),
        v=floats([1e-8, 4e-9]),
    ),
    case(
        "constants/epsilon that is an attribute",
        """g (float[1,2,8] x) => (float[1,2,8] y) { a = Mul (x, k)
            y = InstanceNormalization <epsilon = 1e-12> (a, s, b)}""",
        _CHANNELS,
        k=1e-4,
        s=np.ones(2, np.float32),
        b=np.zeros(2, np.float32),
    ),
    case(
        "constants/Pad with -3.4e38",
        """g (float[1,1,8] x) => (float[1,1,9] y) {p = Pad (x, pads, low) y = MaxPool <kernel_shape = [2]> (p)}""",
        {"x": normal(1, 1, 8)},
        pads=np.array([0, 0, 1, 0, 0, 1]),
        low=float(np.finfo(np.float32).min),
    ),
    case(
        "constants/dynamic quantization",
        """g (float[2,256] x) => (float[2,8] y) { q, s, z = DynamicQuantizeLinear (x) i = MatMulInteger (q, w, z)
            f = Cast <to = 1> (i) k = Mul (s, ws) y = Mul (f, k)}""",
        {"x": uniform(0, 8, 2, 256)},
        w=integers(64, 128, 256, 8, dtype=np.int8),
        ws=0.01,
        reference=False,
    ),
    case(
        "constants/a learned scale of 1e6",
        "g (float[2,8] x) => (float[2,8] y) {a = Mul (x, k) b = Sigmoid (a) y = MatMul (b, w)}",
        {"x": X},
        k=1e6,
        w=W,
        half=("MatMul",),
    ),
    case(
        "constants/the mask of exporters times 0",
        """g (float[2,8] x, float[2,8] c) => (float[2,8] y) { a = MatMul (x, w) i = Sub (one, c) m = Mul (i, low)
            s = Add (a, m) y = Softmax <axis = -1> (s)}""",
        {"x": X, "c": np.tile(floats([1, 1, 1, 0, 1, 1, 0, 1]), (2, 1))},
        w=W,
        one=1.0,
        low=float(np.finfo(np.float32).min),
    ),
    case(
        "constants/a lower bound beyond the range",
        "g (float[2,8] x) => (float[2,8] y) {a = MatMul (x, w) b = Max (a, k) y = Div (b, k)}",
        {"x": X},
        w=W,
        k=1e5,
    ),
    case(
        "constants/a slope beyond the range, an attribute",
        "g (float[2,8] x) => (float[2,8] y) {a = MatMul (x, w) b = LeakyRelu <alpha = 1e5> (a) y = Div (b, k)}",
        {"x": X},
        w=W,
        k=1e5,
    ),
    case(
        "constants/a fill beyond the range",
        """g (float[2,8] x) => (float[2,8] y) {s = Shape (x) f = ConstantOfShape <value: tensor = float[1] {1e5}> (s)
            a = MatMul (x, w) b = Mul (a, f) y = Div (b, k)}""",
        {"x": X},
        w=W,
        k=1e5,
    ),
    case(
        "constants/Gemm with an alpha beyond the range",
        "g (float[2,8] x) => (float[2,8] y) {a = Gemm <alpha = 1e6> (x, w) y = Div (a, k)}",
        {"x": X},
        w=W,
        k=1e6,
    ),
)
