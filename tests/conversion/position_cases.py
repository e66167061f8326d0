"""Networks with whole numbers, positions and indices that fp16 does not hold."""

from __future__ import annotations

import numpy as np

from .case import Case, W, case, floats, normal, uniform

_FREQUENCIES = (10000 ** -(np.arange(4) / 4)).astype(np.float32)
_ROPE = "a = Mul (u, freq) s = Sin (a) c = Cos (a) sc = Concat <axis = -1> (s, c) y = Mul (x, sc)"
_COUNT = "sh = Shape (x) n = Gather (sh, zero)"
_LONG = {"x": np.ones((4096, 8), np.float32)}


def _rope(name: str, body: str, **constants: object) -> Case:
    return case(
        f"positions/{name}",
        f"g (float[T,8] x) => (float[T,8] y) {{{body} {_ROPE}}}",
        _LONG,
        freq=_FREQUENCIES,
        **constants,
    )


_COLUMN = np.array([1])
POSITIONS = (
    _rope(
        "RoPE: Range, Cast",
        f"{_COUNT} r = Range (zero, n, one) f = Cast <to = 1> (r) u = Unsqueeze (f, col)",
        zero=0,
        one=1,
        col=_COLUMN,
    ),
    _rope(
        "RoPE: Cast, Range",
        f"{_COUNT} nf = Cast <to = 1> (n) r = Range (zf, nf, onef) u = Unsqueeze (r, col)",
        zero=0,
        zf=0.0,
        onef=1.0,
        col=_COLUMN,
    ),
    _rope(
        "RoPE: positions are a constant",
        "u = Identity (positions)",
        positions=np.arange(4096, dtype=np.float32)[:, None],
    ),
    _rope(
        "RoPE: CumSum of ones",
        f"""{_COUNT} l = Unsqueeze (n, z1) o = Expand (onef, l) k = CumSum (o, zero) u = Unsqueeze (k, col)""",
        zero=0,
        z1=np.array([0]),
        onef=np.ones(1, np.float32),
        col=_COLUMN,
    ),
    case(
        "positions/RoPE: outer product by MatMul",
        """g (int64[1,4096] ids, float[4096,8] x) => (float[4096,8] y) { f = Cast <to = 1> (ids) t = Transpose (f)
            a = MatMul (t, freq) s = Sin (a) c = Cos (a) sc = Concat <axis = -1> (s, c) y = Mul (x, sc)}""",
        {"ids": np.arange(4096)[None], **_LONG},
        freq=_FREQUENCIES[None],
    ),
    case(
        "positions/RoPE: outer product by Einsum",
        """g (int64[4096] ids, float[4096,8] x) => (float[4096,8] y) { f = Cast <to = 1> (ids)
            a = Einsum <equation = "i,j->ij"> (f, freq) s = Sin (a) c = Cos (a)
            sc = Concat <axis = -1> (s, c) y = Mul (x, sc)}""",
        {"ids": np.arange(4096), **_LONG},
        freq=_FREQUENCIES,
    ),
    case(
        "positions/time steps of a diffusion model",
        """g (int64[3] t, float[3,8] x) => (float[3,8] y) { f = Cast <to = 1> (t) u = Unsqueeze (f, col)
            a = Mul (u, freq) s = Sin (a) c = Cos (a) sc = Concat <axis = -1> (s, c) y = MatMul (sc, w)}""",
        {"t": np.array([1, 997, 9_999]), "x": normal(3, 8)},
        freq=_FREQUENCIES,
        w=W,
        col=_COLUMN,
        half=("MatMul",),
    ),
)

#: 256 values that bf16 tells apart.
_DISTINCT = (np.random.default_rng(0).permutation(256)[None] / 32).astype(np.float32)
INDICES = (
    case(
        "indices/mask of a length",
        """g (float[2] lengths) => (bool[2,4096] m, float[2,8] y) { f = Cast <to = 1> (r)
            l = Unsqueeze (lengths, col) m = Less (f, l) e = Expand (l, e8) d = Div (e, k)
            y = MatMul (d, w)}""",
        {"lengths": floats([3001, 2049])},
        r=np.arange(4096),
        col=_COLUMN,
        e8=np.array([2, 8]),
        k=4096.0,
        w=W,
        half=("MatMul",),
    ),
    case(
        "indices/Gather by Floor",
        """g (float[64] t) => (float[64,8] y) { s = Mul (t, n) f = Floor (s) i = Cast <to = 7> (f)
            r = Gather (table, i) y = MatMul (r, w)}""",
        {"t": uniform(0, 1, 64)},
        n=999.0,
        table=normal(1000, 8),
        w=W,
        half=("MatMul",),
    ),
    case(
        "indices/ArgMax",
        """g (float[1,256] x) => (int64[1,1] y, float[1,8] z) {y = ArgMax <axis = -1> (x) z = MatMul (x, w)}""",
        {"x": _DISTINCT},
        w=normal(256, 8, scale=0.1),
        half=("MatMul",),
    ),
    case(
        "indices/ids compared in float",
        "g (int64[1,4] ids) => (bool[1,4] y) {f = Cast <to = 1> (ids) y = Equal (f, k)}",
        {"ids": np.array([[50256, 50257, 2049, 50258]])},
        k=50257.0,
    ),
    case(
        "indices/remainder",
        "g (int64[1,4] ids) => (float[1,4] y) {f = Cast <to = 1> (ids) y = Mod <fmod = 1> (f, k)}",
        {"ids": np.array([[5001, 50257, 2049, 7]])},
        k=7.0,
    ),
    case(
        "indices/rounding to thousandths",
        "g (float[1,64] x) => (float[1,64] y) {a = Mul (x, k) b = Floor (a) y = Div (b, k)}",
        {"x": uniform(0, 50, 1, 64)},
        k=1000.0,
    ),
    case(
        "indices/shape arithmetic: half of a width",
        """g (float[1,1,4,T] x) => (float[1,1,4,U] y) { s = Shape (x) t = Gather (s, three) f = Cast <to = 1> (t)
            h = Mul (f, p5) c = Ceil (h) i = Cast <to = 7> (c) e = Unsqueeze (i, zero)
            y = Slice (x, zero, e, last)}""",
        [{"x": normal(1, 1, 4, width)} for width in (4099, 8197)],
        three=3,
        p5=0.5,
        zero=np.array([0]),
        last=np.array([3]),
    ),
    case(
        "indices/a count as an output",
        "g (int64[2] a) => (float[2] y) {f = Cast <to = 1> (a) y = Add (f, one)}",
        {"a": np.array([99_998, 2048])},
        right=((floats([99_999, 2049]),),),
        tolerance=1e-6,
        one=1.0,
    ),
    case(
        "indices/TopK",
        "g (float[1,256] x) => (float[1,3] y, int64[1,3] i) {y, i = TopK <axis = -1> (x, k)}",
        {"x": _DISTINCT},
        k=np.array([3]),
    ),
)

POSITION_CASES = (*POSITIONS, *INDICES)
