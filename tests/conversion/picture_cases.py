"""Networks that take pictures, and that compute places in them."""

from __future__ import annotations

import numpy as np

from .case import Case, case, floats, integers, normal, uniform

_PICTURE = normal(3, 3, 3, 3, scale=0.1)
_MEAN = floats([123.675, 116.28, 103.53]).reshape(1, 3, 1, 1)


def _picture(kind: str, dtype: type, body: str, **constants: object) -> Case:
    return case(
        f"pictures/{np.dtype(dtype).name}, {kind}",
        f"""g ({np.dtype(dtype).name}[1,3,16,16] x) => (float[1,3,14,14] z) {{ f = Cast <to = 1> (x) {body}
            z = Conv (y, w)}}""",
        {"x": integers(0, 256, 1, 3, 16, 16, dtype=dtype)},
        w=_PICTURE,
        half=("Conv",),
        **constants,
    )


PICTURES = (
    *(_picture("Div 255", dtype, "y = Div (f, k)", k=255.0) for dtype in (np.uint8, np.int32, np.int64)),
    *(
        _picture("mean and deviation", dtype, "c = Sub (f, m) y = Div (c, d)", m=_MEAN, d=_MEAN / 2)
        for dtype in (np.uint8, np.int64)
    ),
    _picture("as it is", np.uint8, "y = Identity (f)"),
    case(
        "pictures/GridSample",
        """g (float[1,1,64,256] x, float[1,16,16,2] grid) => (float[1,1,16,16] y) {y = GridSample (x, grid)}""",
        {"x": normal(1, 1, 64, 256), "grid": uniform(-1, 1, 1, 16, 16, 2)},
    ),
    case(
        "pictures/RoiAlign",
        """g (float[1,1,512,512] x, float[2,4] rois, int64[2] of) => (float[2,1,4,4] y) {
            y = RoiAlign <output_height = 4, output_width = 4, spatial_scale = 0.5> (x, rois, of)}""",
        {
            "x": normal(1, 1, 512, 512),
            "rois": uniform(0, 1000, 2, 4) + floats([0, 0, 20, 20]),
            "of": np.zeros(2, np.int64),
        },
        tolerance=0.02,
    ),
    case(
        "pictures/Resize by computed scales",
        """g (float[1,1,4,T] x) => (float[1,1,4,U] y) { s = Shape (x) t = Gather (s, three) f = Cast <to = 1> (t)
            r = Div (wanted, f) u = Unsqueeze (r, zero) sc = Concat <axis = 0> (ones, u)
            y = Resize <mode = "linear"> (x, , sc)}""",
        [{"x": normal(1, 1, 4, width)} for width in (300, 777)],
        wanted=1001.5,
        three=3,
        zero=np.array([0]),
        ones=np.ones(3, np.float32),
    ),
    case(
        "pictures/pixel grid",
        """g (float[2,2] x) => (float[2048] y) { r = Range (z, n, one) f = Cast <to = 1> (r) h = Add (f, p5)
            y = Div (h, w)}""",
        {"x": np.zeros((2, 2), np.float32)},
        z=0,
        n=2048,
        one=1,
        p5=0.5,
        w=2048.0,
    ),
)
