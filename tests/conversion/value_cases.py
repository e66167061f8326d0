"""Networks whose values leave the range or the digits of fp16 on the way: norms, exponentials, sums, masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import Case, W, case, floats, normal, uniform

_ROW = normal(2, 64, seed=5)
_W64 = normal(64, 8, scale=0.1, seed=6)
_LARGE_AND_SMALL = [{"x": _ROW * scale} for scale in (300, 1, 0.01)]
_ZERO_ROW = [{"x": np.concatenate([_ROW * scale, np.zeros((1, 64), np.float32)])} for scale in (300, 1, 1e-3)]
_LOWEST = float(np.finfo(np.float32).min)


def _norm(name: str, body: str, *, rows: int = 2, **constants: Any) -> Case:
    """Make a case of a normalization y of x with a matrix product after it."""
    return case(
        f"norms/{name}",
        f"g (float[{rows},64] x) => (float[{rows},8] z) {{{body} z = MatMul (y, w)}}",
        _LARGE_AND_SMALL if rows == 2 else _ZERO_ROW,
        w=_W64,
        half=("MatMul",),
        **constants,
    )


_CENTRED = "m = ReduceMean <axes = [-1]> (x) c = Sub (x, m)"
_STATISTICS = "v = ReduceMean <axes = [-1]> (p) e = Add (v, eps) d = Sqrt (e) y = Div (c, d)"
_SQUARES: dict[str, tuple[str, dict[str, Any]]] = {
    "Mul(c, c)": ("p = Mul (c, c)", {}),
    "Pow(c, 2)": ("p = Pow (c, two)", {"two": 2.0}),
    "Mul by an Identity of c": ("i = Identity (c) p = Mul (c, i)", {}),
}
LAYER_NORMS = tuple(
    _norm(f"layernorm, {how}, eps {eps}", f"{_CENTRED} {square} {_STATISTICS}", eps=eps, **constants)
    for how, (square, constants) in _SQUARES.items()
    for eps in (1e-5, 1e-6, 1e-12)
)

NORMS = (
    _norm(
        "RMSNorm",
        """p = Mul (x, x) v = ReduceMean <axes = [-1]> (p) e = Add (v, eps) d = Sqrt (e) r = Reciprocal (d)
            y = Mul (x, r)""",
        eps=1e-6,
    ),
    _norm(
        "a square of the negative, through shapes",
        """s = ReduceSum <keepdims = 1> (x, last) m = Div (s, n) c = Sub (x, m) d = Neg (c) p = Mul (c, d) q = Neg (p)
            t = ReduceSum <keepdims = 1> (q, last) v = Div (t, n) e = Add (v, eps) r = Sqrt (e)
            y = Div (c, r)""",
        last=np.array([-1]),
        n=64.0,
        eps=1e-5,
    ),
    _norm(
        "mean as sum over a count",
        """s = ReduceSum <keepdims = 1> (x, last) m = Div (s, n) c = Sub (x, m) p = Mul (c, c)
            t = ReduceSum <keepdims = 1> (p, last) v = Div (t, n) e = Add (v, eps) d = Sqrt (e)
            y = Div (c, d)""",
        last=np.array([-1]),
        n=64.0,
        eps=1e-5,
    ),
    _norm("LayerNormalization", "y = LayerNormalization <axis = -1> (x, one)", one=np.ones(64, np.float32)),
    _norm(
        "standard deviation by ReduceL2",
        """m = ReduceMean <axes = [-1]> (x) c = Sub (x, m) l = ReduceL2 <axes = [-1]> (c) d = Div (l, root)
            e = Add (d, eps) y = Div (c, e)""",
        root=8.0,
        eps=1e-6,
    ),
    _norm("L2 with Clip", "n = ReduceL2 <axes = [-1]> (x) d = Clip (n, eps) y = Div (x, d)", rows=3, eps=1e-12),
    _norm(
        "L2 with Max",
        """s = Mul (x, x) t = ReduceSum <keepdims = 1> (s, last) n = Sqrt (t) d = Max (n, eps) y = Div (x, d)""",
        rows=3,
        eps=1e-12,
        last=np.array([-1]),
    ),
    _norm(
        "L2 with Add under the root",
        "s = ReduceSumSquare <axes = [-1]> (x) t = Add (s, eps) d = Sqrt (t) y = Div (x, d)",
        rows=3,
        eps=1e-12,
    ),
    _norm(
        "L2 with Where",
        "n = ReduceL2 <axes = [-1]> (x) b = Less (n, eps) d = Where (b, one, n) y = Div (x, d)",
        rows=3,
        eps=1e-12,
        one=1.0,
    ),
    _norm("LpNormalization", "y = LpNormalization <axis = -1> (x)"),
    _norm("MeanVarianceNormalization", "y = MeanVarianceNormalization <axes = [1]> (x)"),
)

_LOGITS = {"x": uniform(0, 20, 2, 64)}
_SUM = "t = ReduceSum <keepdims = 1> (e, last)"
EXPONENTIALS = (
    case(
        "exp/softmax",
        f"g (float[2,64] x) => (float[2,64] y) {{e = Exp (x) {_SUM} y = Div (e, t)}}",
        _LOGITS,
        last=np.array([-1]),
    ),
    case(
        "exp/softmax less its maximum",
        f"""g (float[2,64] x) => (float[2,64] y) {{ m = ReduceMax <axes = [-1]> (x) d = Sub (x, m)
            e = Exp (d) {_SUM} y = Div (e, t)}}""",
        {"x": _LOGITS["x"] * 50},
        last=np.array([-1]),
    ),
    case(
        "exp/logsumexp",
        f"g (float[2,64] x) => (float[2,1] y) {{e = Exp (x) {_SUM} y = Log (t)}}",
        _LOGITS,
        last=np.array([-1]),
    ),
    case("exp/ReduceLogSumExp", "g (float[2,64] x) => (float[2,1] y) {y = ReduceLogSumExp <axes = [-1]> (x)}", _LOGITS),
    case(
        "exp/softplus",
        "g (float[2,64] x) => (float[2,64] y) {e = Exp (x) a = Add (e, one) y = Log (a)}",
        _LOGITS,
        one=1.0,
    ),
    case("exp/mish", "g (float[2,64] x) => (float[2,64] y) {p = Softplus (x) t = Tanh (p) y = Mul (x, t)}", _LOGITS),
    case(
        "exp/silu",
        """g (float[2,64] x) => (float[2,64] y) {n = Neg (x) e = Exp (n) a = Add (e, one) y = Div (x, a)}""",
        {"x": uniform(-30, 30, 2, 64)},
        one=1.0,
    ),
    case(
        "exp/gelu by tanh",
        """g (float[2,64] x) => (float[2,64] y) { c = Pow (x, three) k = Mul (c, a) s = Add (x, k) r = Mul (s, b)
            t = Tanh (r) u = Add (t, one) h = Mul (x, p5) y = Mul (h, u)}""",
        {"x": uniform(-60, 60, 2, 64)},
        three=3.0,
        a=0.044715,
        b=0.7978846,
        one=1.0,
        p5=0.5,
    ),
    case(
        "exp/log mel floor",
        """g (float[2,64] x) => (float[2,8] y) { p = Mul (x, x) s = MatMul (p, w) c = Clip (s, eps) l = Log (c)
            d = Div (l, ten) y = Add (d, one)}""",
        [{"x": _ROW * scale} for scale in (1, 1e-3, 0)],
        w=np.abs(_W64),
        eps=1e-10,
        ten=2.302585,
        one=1.0,
    ),
    case(
        "exp/decibel",
        """g (float[2,64] x) => (float[2,64] y) {p = Pow (x, two) m = Max (p, eps) l = Log (m) y = Mul (l, k)}""",
        [{"x": _ROW * scale} for scale in (1000, 1e-4)],
        two=2.0,
        eps=1e-10,
        k=4.3429448,
    ),
)

SUMS = (
    case(
        "sums/ReduceSum over 100,000",
        "g (float[1,100000] x) => (float[1] y) {y = ReduceSum <keepdims = 0> (x, last)}",
        [{"x": np.ones((1, 100_000), np.float32)}, {"x": uniform(0, 1, 1, 100_000)}],
        last=np.array([-1]),
    ),
    case(
        "sums/mean of 100,000 by ReduceSum and Size",
        """g (float[1,100000] x) => (float[1,1] y) { t = ReduceSum <keepdims = 1> (x, last) n = Size (x)
            f = Cast <to = 1> (n) y = Div (t, f)}""",
        {"x": uniform(0, 1, 1, 100_000)},
        last=np.array([-1]),
    ),
    case(
        "sums/ReduceMean over 100,000",
        "g (float[1,100000] x) => (float[1,1] y) {y = ReduceMean <axes = [-1]> (x)}",
        {"x": uniform(50, 150, 1, 100_000)},
    ),
    case(
        "sums/ReduceSumSquare",
        "g (float[1,10000] x) => (float[1,1] y) {y = ReduceSumSquare <axes = [-1]> (x)}",
        {"x": normal(1, 10_000, scale=10)},
    ),
    case(
        "sums/ReduceL1",
        "g (float[1,10000] x) => (float[1,1] y) {y = ReduceL1 <axes = [-1]> (x)}",
        {"x": normal(1, 10_000, scale=10)},
    ),
    case(
        "sums/ReduceProd",
        "g (float[2,16] x) => (float[2,1] y) {y = ReduceProd <axes = [-1]> (x)}",
        {"x": uniform(1, 4, 2, 16)},
    ),
    case(
        "sums/CumSum over 10,000 ones",
        "g (float[10000] x) => (float[10000] y) {y = CumSum (x, zero)}",
        {"x": np.ones(10_000, np.float32)},
        zero=0,
    ),
    case(
        "sums/mean of tokens under a mask",
        """g (int64[2,512] mask, float[2,512,16] h) => (float[2,16] y) { f = Cast <to = 1> (mask)
            u = Unsqueeze (f, last) m = Mul (h, u) s = ReduceSum <keepdims = 0> (m, one)
            n = ReduceSum <keepdims = 0> (u, one) d = Clip (n, eps) y = Div (s, d)}""",
        {"mask": np.stack([np.ones(512, np.int64), np.zeros(512, np.int64)]), "h": normal(2, 512, 16) + 200},
        last=np.array([-1]),
        one=np.array([1]),
        eps=1e-9,
    ),
    case(
        "sums/InstanceNormalization",
        "g (float[1,2,256] x) => (float[1,2,256] y) {y = InstanceNormalization (x, one, zero)}",
        {"x": normal(1, 2, 256, scale=1000)},
        one=np.ones(2, np.float32),
        zero=np.zeros(2, np.float32),
    ),
)


def _attention(name: str, mask: str, declared: str, feeds: dict[str, object], **constants: object) -> Case:
    """Make a case of attention over 8 tokens: ``mask`` makes the scores s of the scores r."""
    return case(
        f"masks/{name}",
        f"""g (float[2,8] x{declared}) => (float[2,8] z) {{q = MatMul (x, wq) k = MatMul (x, wk) t = Transpose (k)"""
        f"r = MatMul (q, t) {mask} p = Softmax (s) v = MatMul (x, wv) z = MatMul (p, v)}}",
        {"x": normal(2, 8, seed=1), **feeds},
        wq=W,
        wk=np.ascontiguousarray(W.T),
        wv=W * 2,
        half=("MatMul",),
        **constants,
    )


_KEEP = np.array([[True, False], [True, True]])
_ONES = _KEEP.astype(np.int64)
_INVERTED = "f = Cast <to = 1> (m) i = Sub (one, f) a = Mul (i, low) s = Add (r, a)"
MASKS = (
    _attention("Where with -3.4e38", "s = Where (m, r, low)", ", bool[2,2] m", {"m": _KEEP}, low=_LOWEST),
    _attention("Where with -inf", "s = Where (m, r, low)", ", bool[2,2] m", {"m": _KEEP}, low=-np.inf),
    _attention("(1 - mask) * -1e9", _INVERTED, ", int64[2,2] m", {"m": _ONES}, one=1.0, low=-1e9),
    _attention("(1 - mask) * -3.4e38", _INVERTED, ", int64[2,2] m", {"m": _ONES}, one=1.0, low=_LOWEST),
    _attention("(1 - mask) * -10000", _INVERTED, ", int64[2,2] m", {"m": _ONES}, one=1.0, low=-10000.0),
    _attention("Add of a mask with -inf", "s = Add (r, a)", "", {}, a=floats([[0, -np.inf], [0, 0]])),
    _attention("Add of a mask with -3.4e38", "s = Add (r, a)", "", {}, a=floats([[0, _LOWEST], [0, 0]])),
    _attention("two masks added", "d = Add (a, a) s = Add (r, d)", "", {}, a=floats([[0, _LOWEST], [0, 0]])),
    _attention(
        "a mask made by Trilu",
        "f = ConstantOfShape <value: tensor = float[1] {-1e9}> (two) a = Trilu (f, k1) s = Add (r, a)",
        "",
        {},
        two=np.array([2, 2]),
        k1=1,
    ),
)

VALUE_CASES = (*LAYER_NORMS, *NORMS, *EXPONENTIALS, *SUMS, *MASKS)
