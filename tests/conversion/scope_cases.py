"""Networks whose scopes, functions and names are hard on a converter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import W2, Case, W, X, case, floats, normal

_FLAGS = [{"x": X, "flag": np.array(flag)} for flag in (True, False)]
_ROWS = normal(5, 2, 8, seed=2)


def _two(name: str, body: str, **options: Any) -> Case:
    """Make a case of a network from 2 × 8 to 2 × 8 values."""
    text = f"g (float[2,8] x) => (float[2,8] y) {{{body}}}"
    return case(f"structure/{name}", text, options.pop("feeds", {"x": X}), **options)


SCOPES = (
    _two(
        "Scan with an outer weight and a shadowed name",
        """z = Constant <value: tensor = float[2,8] {0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}> () y,
            all = Scan <num_scan_inputs = 1,
            body: graph = b (float[2,8] s, float[2,8] x) => (float[2,8] t, float[2,8] u) {a = MatMul (x, w)
            c = Add (a, s) t = Tanh (c) u = Identity (t)}> (z, rows)""",
        rows=_ROWS,
        w=W,
        half=("MatMul",),
    ),
    case(
        "structure/Scan whose states are outputs",
        """g (float[2,8] s0, float[5,2,8] rows) => (float[2,8] y, float[5,2,8] all) { y,
            all = Scan <num_scan_inputs = 1,
            body: graph = b (float[2,8] s, float[2,8] r) => (float[2,8] t, float[2,8] u) {a = MatMul (r, w)
            c = Add (a, s) t = Tanh (c) u = Relu (c)}> (s0, rows)}""",
        {"s0": X, "rows": _ROWS},
        w=W,
        half=("MatMul",),
    ),
    case(
        "structure/If inside Loop, reading three scopes",
        """g (float[2,8] x, bool flag) => (float[2,8] y) { q = MatMul (x, w)
            y = Loop (n, yes, x) <body: graph = b (int64 i, bool ci, float[2,8] s) => (bool co, float[2,8] so)
                {a = MatMul (s, w2)
            so = If (flag) <then_branch: graph = t () => (float[2,8] o1) {r1 = Add (a, q)
            o1 = Tanh (r1)}, else_branch: graph = e () => (float[2,8] o2) {r2 = Sub (s, q)
            o2 = Tanh (r2)}> co = Identity (ci)}>}""",
        _FLAGS,
        n=3,
        yes=True,
        w=W,
        w2=W2,
        half=("MatMul",),
    ),
    case(
        "structure/one name in three scopes",
        """g (float[2,8] x, bool flag) => (float[2,8] y) {
            y = Loop (n, yes, x) <body: graph = b (int64 i, bool ci, float[2,8] x) => (bool co, float[2,8] so)
                {m = MatMul (x, w)
            so = If (flag) <then_branch: graph = t () => (float[2,8] o) {k = Constant <value_float = 2.0> ()
            h = Mul (m, k) o = Tanh (h)},
            else_branch: graph = e () => (float[2,8] o) {k = Constant <value_ints = [2, 8]> ()
            h = Reshape (x, k) o = Relu (h)}> co = Identity (ci)}>}""",
        _FLAGS,
        n=2,
        yes=True,
        w=W,
        half=("MatMul", "Tanh"),
    ),
    case(
        "structure/a name of two types in sibling scopes",
        """g (float[2,8] x, bool flag) => (float[2,8] y) {
            y = If (flag) <then_branch: graph = t () => (float[2,8] o) {v = Shape (x)
            o = Expand (x, v)}, else_branch: graph = e () => (float[2,8] o) {v = MatMul (x, w)
            o = Relu (v)}>}""",
        _FLAGS,
        w=W,
        half=("MatMul",),
    ),
    case(
        "structure/a branch gives back an outer value",
        """g (float[2,8] x, bool flag) => (float[2,8] y) { a = MatMul (x, w) b = Exp (a)
            y = If (flag) <then_branch: graph = t () => (float[2,8] o1) {o1 = Identity (a)},
            else_branch: graph = e () => (float[2,8] o2) {o2 = Identity (b)}>}""",
        _FLAGS,
        w=W,
        half=("MatMul",),
    ),
    case(
        "structure/branches that disagree on precision",
        """g (float[2,8] x, bool flag) => (float[2,8] y) {
            a = If (flag) <then_branch: graph = t () => (float[2,8] o1) {o1 = MatMul (x, w)},
            else_branch: graph = e () => (float[2,8] o2) {h = Mul (x, k) o2 = Sub (h, k)}>
            y = MatMul (a, w)}""",
        _FLAGS,
        w=W,
        k=1e5,
        tolerance=0.01,
    ),
    _two(
        "Loop without a condition",
        """y = Loop (n, , x) <body: graph = b (int64 i, bool ci, float[2,8] s) => (bool co, float[2,8] so) {
            m = MatMul (s, w) so = Tanh (m) co = Identity (ci)}>""",
        n=3,
        w=W,
        half=("MatMul",),
        reference=False,
    ),
    _two(
        "Loop that never runs",
        """a = MatMul (x, w)
            y = Loop (n, yes, a) <body: graph = b (int64 i, bool ci, float[2,8] s) => (bool co, float[2,8] so)
                {so = MatMul (s, w)
            co = Identity (ci)}>""",
        n=0,
        yes=True,
        w=W,
        half=("MatMul",),
    ),
    case(
        "structure/Loop that ends by a comparison, and collects",
        """g (float[2,8] x) => (float[2,8] y, float[N,2,8] all) { t = Constant <value: tensor = bool {1}> () y,
            all = Loop (n, t, x) <body: graph = b (int64 i, bool ci, float[2,8] s) => (bool co, float[2,8] so,
                float[2,8] each) {so = Mul (s, k)
            each = MatMul (so, w) m = ReduceMax <keepdims = 0> (so) co = Less (m, top)}>}""",
        {"x": np.abs(X)},
        n=50,
        yes=True,
        k=1.5,
        top=40.0,
        w=W,
        half=("MatMul",),
        reference=False,
    ),
    case(
        "structure/Loop that counts in float",
        """g (float[2,8] x) => (float y) {
            y = Loop (n, yes, zero) <body: graph = b (int64 i, bool ci, float c) => (bool co, float cn) {cn =
                Add (c, one)
            co = Identity (ci)}>}""",
        {"x": X},
        right=((np.float32(3000),),),
        n=3000,
        yes=True,
        zero=0.0,
        one=1.0,
    ),
)

_MY = ', "my" : 1'
_F = '<domain: "my", opset_import: ["" : 17, "my" : 1]>'
FUNCTIONS = (
    _two(
        "functions that call functions",
        f"""a = MatMul (x, w) b = my.Outer (a)
            y = my.Inner (b)}} {_F} Inner (v) => (r) {{c = Constant <value_float = 0.5> ()
            r = Mul (v, c)}} {_F} Outer (v) => (r) {{c = my.Inner (v) d = my.Inner (c) r = Tanh (d)""",
        domains=_MY,
        w=W,
        half=("MatMul", "Tanh", "Mul"),
    ),
    _two(
        "a function with an attribute",
        f"""a = MatMul (x, w) b = my.Scale <by = 2.0> (a)
            y = my.Scale <by = 100000.0> (b)}} {_F} Scale <by> (v) => (r) {{c = Constant <value_float: float = @by> ()
            r = Mul (v, c)""",
        domains=_MY,
        w=W,
        half=("MatMul",),
        onnxruntime=False,
    ),
    case(
        "structure/a function with an If inside",
        f"""g (float[2,8] x, bool flag) => (float[2,8] y) {{ a = MatMul (x, w)
            y = my.Choose (a, flag)}} {_F} Choose (v, c) => (r) {{k = Constant <value_float = 2.0> ()
            m = Mul (v, k) r = If (c) <then_branch: graph = t () => (o1) {{o1 = Relu (m)}},
            else_branch: graph = e () => (o2) {{o2 = Tanh (v)}}>}}""",
        _FLAGS,
        domains=_MY,
        w=W,
        half=("MatMul", "Relu", "Tanh"),
    ),
    _two(
        "a function used inside a Loop",
        f"""y = Loop (n, yes, x) <body: graph = b (int64 i, bool ci, float[2,8] s) => (bool co, float[2,8] so) {{so =
                my.Cell (s, w)
            co = Identity (ci)}}>}} {_F} Cell (s, w) => (r) {{a = MatMul (s, w) r = Tanh (a)""",
        domains=_MY,
        n=3,
        yes=True,
        w=W,
        half=("MatMul", "Tanh"),
    ),
)

NAMES = (
    case(
        "structure/an output that is read inside",
        """g (float[2,8] x) => (float[2,8] a, float[2,8] y) {a = MatMul (x, w) b = Relu (a) y = MatMul (b, w)}""",
        {"x": X},
        w=W,
        half=("MatMul", "Relu"),
    ),
    case(
        "structure/an output that is read in a branch",
        """g (float[2,8] x, bool flag) => (float[2,8] a, float[2,8] y) { a = MatMul (x, w)
            y = If (flag) <then_branch: graph = t () => (float[2,8] o1) {o1 = Relu (a)},
            else_branch: graph = e () => (float[2,8] o2) {o2 = Tanh (a)}>}""",
        _FLAGS,
        w=W,
        half=("MatMul", "Relu", "Tanh"),
    ),
    _two(
        "values named as a converter would name its own",
        """x_fp16 = MatMul (x, w) x_c10 = Relu (x_fp16) w_half = MatMul (x_c10, w) x_half = Add (w_half, w_fp16)
            x_cast = Tanh (x_half) y_fp16 = MatMul (x_cast, w) y = Identity (y_fp16)""",
        w=W,
        w_fp16=W[0],
        half=("MatMul", "Relu"),
    ),
    _two(
        "an initializer for a half node and one that stays",
        "a = MatMul (x, w) n = ReduceL2 <axes = [0]> (w) y = Mul (a, n)",
        w=W,
        half=("MatMul",),
    ),
    _two(
        "an initializer for a half node and an operator's fp32 input",
        """a = MatMul (x, w) r = Reshape (a, four) u = Resize <mode = "nearest"> (r, , s) b = Reshape (u, wide)
            c = Slice (b, z, e, one) y = Mul (c, s0)""",
        four=np.array([1, 1, 2, 8]),
        wide=np.array([2, 16]),
        z=np.array([0]),
        e=np.array([8]),
        one=np.array([1]),
        s=floats([1, 1, 1, 2]),
        s0=2.0,
        w=W,
        half=("MatMul",),
    ),
    _two(
        "an initializer read in two scopes",
        """a = MatMul (x, w)
            y = Loop (n, yes, a) <body: graph = b (int64 i, bool ci, float[2,8] s) => (bool co, float[2,8] so)
                {m = MatMul (s, w)
            so = Tanh (m) co = Identity (ci)}>""",
        n=2,
        yes=True,
        w=W,
        half=("MatMul",),
    ),
    case(
        "structure/initializers that are inputs, fed and not",
        """g (float[2,8] x, float[8,8] w, float[8] b) => (float[2,8] y) {a = MatMul (x, w) y = Add (a, b)}""",
        [{"x": X, "w": W, "b": W[0]}, {"x": X, "w": W2, "b": normal(8, seed=3)}],
        w=W,
        b=W[0],
        half=("MatMul", "Add"),
    ),
    _two(
        "dead nodes and unused initializers",
        "a = MatMul (x, w) dead = Exp (a) y = Relu (a)",
        w=W,
        unused=W2,
        half=("MatMul",),
    ),
    case(
        "structure/two outputs of one value",
        """g (float[2,8] x) => (float[2,8] y, float[2,8] z) {a = MatMul (x, w) y = Identity (a) z = Identity (a)}""",
        {"x": X},
        w=W,
        half=("MatMul",),
    ),
    _two(
        "an operator of ONNX Runtime",
        "a = MatMul (x, w) b = com.microsoft.QuickGelu <alpha = 1.702> (a) y = MatMul (b, w)",
        domains=', "com.microsoft" : 1',
        w=W,
        reference=False,
    ),
)

SCOPE_CASES = (*SCOPES, *FUNCTIONS, *NAMES)
