"""The small networks that c10 got wrong before it had a converter of its own, each of one kind of fault.

The folder and file names are those of the collection they were found for; structure, constants and inputs are the same.
Two files are there under two names: constfp16 is already-fp16/constants, onehalf is halfhalf/onehalf.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import W2, Case, W, X, case, floats, integers, normal, uniform

#: What an input of samples or of a length has beside it.
_SIGNAL = {"input": normal(1, 1, 64)}
_HALF = W.astype(np.float16)
_FRAMES = {16000: 100, 48160: 301, 64000: 400, 99999: 624, 480000: 3000}

CLIP = (
    case(
        "fp16-clip/scale",
        "g (float[1,1,64] input) => (float[1,4,62] output) {a = Mul (input, s) output = Conv (a, w)}",
        {"input": uniform(-1, 1, 1, 1, 64)},
        s=32768.0,
        w=normal(4, 1, 3, scale=0.1),
        half=("Conv",),
    ),
    case(
        "fp16-clip/divide",
        "g (float[1,1,64] input) => (float[1,4,62] output) {a = Div (input, s) output = Conv (a, w)}",
        {"input": uniform(0, 60000, 1, 1, 64)},
        s=65535.0,
        w=normal(4, 1, 3, seed=1),
        half=("Conv",),
    ),
    case(
        "fp16-clip/logfloor",
        "g (float[1,64] input) => (float[1,64] output) {p = Mul (input, input) q = Add (p, eps) output = Log (q)}",
        [{"input": uniform(-1e-5, 1e-5, 1, 64)}, {"input": np.zeros((1, 64), np.float32)}],
        eps=1e-10,
    ),
    case(
        "fp16-clip/batchnorm",
        "g (float[1,2,4] input) => (float[1,2,4] output) {output = BatchNormalization (input, one, mean, mean, var)}",
        {"input": np.full((1, 2, 4), 200, np.float32)},
        right=((np.repeat(floats([[[1], [200 / 60000**0.5]]]), 4, 2),),),
        one=np.ones(2, np.float32),
        mean=np.zeros(2, np.float32),
        var=floats([40000, 60000]),
    ),
)

LENGTHS = (
    case(
        "fp16-lengths/frames",
        """g (float[1,1,64] input, int64[1] samples) => (float[1,1,62] output, int64[1] frames) {
            s = Cast <to = 1> (samples) d = Div (s, hop) fl = Floor (d) frames = Cast <to = 7> (fl)
            output = Conv (input, w)
        }""",
        [{**_SIGNAL, "samples": np.array([samples])} for samples in _FRAMES],
        right=tuple((None, np.array([frames])) for frames in _FRAMES.values()),
        hop=160.0,
        w=np.ones((1, 1, 3), np.float32),
        half=("Conv",),
    ),
    case(
        "fp16-lengths/crop",
        """g (float[1,1,T] input) => (float[1,1,U] output) {
            c = Conv <pads = [1, 1]> (input, w) sh = Shape (input) t = Gather (sh, two) tf = Cast <to = 1> (t)
            ts = Mul (tf, scale) fl = Floor (ts) ti = Cast <to = 7> (fl) e = Unsqueeze (ti, zero)
            output = Slice (c, zero, e, two1)
        }""",
        [{"input": normal(1, 1, length)} for length in (2047, 2049, 4101, 16001, 48001)],
        two=2,
        scale=1.0,
        zero=np.array([0]),
        two1=np.array([2]),
        w=np.ones((1, 1, 3), np.float32),
        half=("Conv",),
    ),
)

VALUES = (
    case(
        "fp16-misc/ln_decomposed",
        """g (float[2,8] input) => (float[2,8] output) {
            mu = ReduceMean <axes = [-1]> (input) c = Sub (input, mu) p = Pow (c, two) v = ReduceMean <axes = [-1]> (p)
            ve = Add (v, eps) sd = Sqrt (ve) output = Div (c, sd)
        }""",
        {"input": normal(2, 8, scale=300)},
        two=2.0,
        eps=1e-12,
    ),
    case(
        "fp16-misc/bigcast",
        "g (int64[2,8] ids) => (float[2,8] output) {f = Cast <to = 1> (ids) g = Div (f, k) output = MatMul (g, w)}",
        {"ids": integers(0, 1_000_001, 2, 8)},
        k=1000.0,
        w=W,
        half=("MatMul",),
    ),
    case(
        "fp16-misc/layernorm_big",
        """g (float[2,8] input) => (float[2,8] output) {
            a = Mul (input, k) output = LayerNormalization <axis = -1, epsilon = 1e-05> (a, g, b)
        }""",
        {"input": X},
        k=400.0,
        g=np.ones(8, np.float32),
        b=np.zeros(8, np.float32),
    ),
)


def _small(name: str, body: str, feeds: Any = None, **options: Any) -> Case:
    """Make a case of a network from 2 × 8 values to 2 × 8 values."""
    text = f"g (float[2,8] input) => (float[2,8] output) {{{body}}}"
    return case(name, text, feeds or {"input": X}, tolerance=options.pop("tolerance", 0.005), **options)


TYPES = (
    _small(
        "fp16-misc/cos_default",
        "s = Shape (input) z = ConstantOfShape (s) a = MatMul (input, w) output = Add (a, z)",
        w=W,
        half=("MatMul",),
    ),
    _small(
        "fp16-misc/eye",
        "i8 = EyeLike <dtype = 1> (e) a = MatMul (input, i8) output = MatMul (a, w)",
        e=np.zeros((8, 8), np.int32),
        w=W,
        half=("MatMul",),
    ),
    _small("fp16-misc/hann", "win = HannWindow (k) output = Mul (input, win)", k=8),
)

NAMES = (
    case(
        "fp16-misc/function",
        """g (float[2,8] input) => (float[2,8] output) {a = MatMul (input, w) output = my.Scale (a)}
        <domain: "my", opset_import: ["" : 17]>
        Scale (x) => (y) {c = Constant <value: tensor = float {2}> () y = Mul (x, c)}""",
        {"input": X},
        domains=', "my" : 1',
        w=W,
        half=("MatMul", "Mul"),
    ),
    case(
        "fp16-misc/out_init",
        "g (float[2,8] input) => (float[2,8] output, float[8,8] anchors) {output = MatMul (input, w)}",
        {"input": X},
        w=W,
        anchors=W * 3,
        half=("MatMul",),
    ),
    case(
        "fp16-misc/out_input",
        "g (float[2,8] input) => (float[2,8] output, float[2,8] input) {output = MatMul (input, w)}",
        {"input": X},
        w=W,
        half=("MatMul",),
    ),
    _small(
        "fp16-misc/dupname_input",
        "[n] a = MatMul (input, w) [n] b = Relu (input) [add] output = Add (a, b)",
        w=W,
        half=("MatMul", "Relu", "Add"),
    ),
    _small(
        "fp16-misc/dupname_blocked",
        "[mm] a = MatMul (input, w) [relu] b = Max (a, c0) [mm2] d = MatMul (b, w2) [relu] output = Max (d, c1)",
        w=W,
        w2=W2,
        c0=0.0,
        c1=-1.0,
        half=("MatMul",),
    ),
    case(
        "fp16-misc/ir3",
        """g (float[2,8] input, float[8,8] w, float[8] b) => (float[2,8] output)
        {[mm] a = MatMul (input, w) [ad] output = Add (a, b)}""",
        {"input": X},
        opset=9,
        ir=3,
        w=W,
        b=W[0],
        half=("MatMul", "Add"),
        reference=False,  # onnx.reference wants a value for every input
    ),
)


def _if(name: str, before: str, then: str, otherwise: str, **constants: Any) -> Case:
    return case(
        name,
        f"""g (float[2,8] input, bool flag) => (float[2,8] output) {{{before} [if] output = If (flag) <
            then_branch: graph = t () => (float[2,8] o1) {{[t1] o1 = {then}}},
            else_branch: graph = e () => (float[2,8] o2) {{[e1] o2 = {otherwise}}}>
        }}""",
        [{"input": X, "flag": np.array(flag)} for flag in (True, False)],
        **constants,
    )


_MM = "[mm] x = MatMul (input, w)"
_LOOP = "[lm] m = MatMul ({state}, w) [lt] so = Tanh (m) [li] co = Identity (ci)"
SCOPES = (
    _if("fp16-misc/if_input", "", "MatMul (input, w2)", "Relu (input)", w2=W, half=("MatMul",)),
    _if("fp16-misc/if_outer", _MM, "MatMul (x, w2)", "Relu (x)", w=W, w2=W2, half=("MatMul", "Relu")),
    _if("fp16-misc/if_blocked", _MM, "Max (x, c)", "Relu (x)", w=W, c=0.0, half=("MatMul", "Relu")),
    _small(
        "fp16-misc/loop",
        f"""[loop] output = Loop (n, "", input) <body: graph = b (int64 i, bool ci, float[2,8] st)
            => (bool co, float[2,8] so) {{{_LOOP.format(state="st")}}}>""",
        w=W,
        n=3,
        half=("MatMul", "Tanh"),
        reference=False,  # it takes a missing condition for false
    ),
    _small(
        "loop-shadow/loop_samename",
        f"""[loop] output = Loop (n, c, input) <body: graph = b (int64 i, bool ci, float[2,8] input)
            => (bool co, float[2,8] so) {{{_LOOP.format(state="input")}}}>""",
        w=W,
        n=3,
        c=True,
        half=("MatMul", "Tanh"),
    ),
)

_AUTOCAST = """i16 = Cast <to = 10> (input) w16 = Cast <to = 10> (w) a = MatMul (i16, w16)
               a32 = Cast <to = 1> (a) output = Softmax (a32)"""
_CONSTANTS = (
    "i16 = Cast <to = 10> (input) w = Constant <value: tensor = {w}> () a = MatMul (i16, w) output = Cast <to = 1> (a)"
)
_BITS = f"float16[8,8] {{{','.join(str(bits) for bits in _HALF.view(np.uint16).ravel())}}}"

#: Networks that have halves already. At bf16 the fp16 parts stay as they are.
HALVES = (
    _small("already-fp16/autocast", _AUTOCAST, w=W),
    _small("already-fp16/constants", _CONSTANTS.format(w=_BITS)),
    case(
        "already-fp16/halfio",
        """g (float16[2,8] input) => (float16[2,8] output)
        {x = Cast <to = 1> (input) a = MatMul (x, w) output = Cast <to = 10> (a)}""",
        {"input": X.astype(np.float16)},
        w=W,
        half=("MatMul",),
    ),
    _small(
        "halfhalf/onehalf",
        "[c] hf = Cast <to = 1> (h) [mm] a = MatMul (input, w) [ad] output = Add (a, hf)",
        w=W,
        h=_HALF[0],
        half=("MatMul",),
    ),
    _small(
        "fp16-misc/qdq",
        """[q] q = QuantizeLinear (input, s, z) [d] d = DequantizeLinear (q, s, z)
           [dw] wd = DequantizeLinear (wq, ws, wz) [mm] output = MatMul (d, wd)""",
        opset=13,
        s=0.02,
        z=np.int8(0),
        wq=(W * 100).astype(np.int8),
        ws=0.01,
        wz=np.int8(0),
        tolerance=0.01,
        reference=False,  # it has no DequantizeLinear before opset 19
    ),
)

SHARED = (*CLIP, *LENGTHS, *VALUES, *TYPES, *NAMES, *SCOPES, *HALVES)
