"""Compile Triton's kernels for GPUs that need not be there, down to machine code: run by test_gpu.py.

Noise must be the same bits on every device, so its double-precision arithmetic has to be rounded step by step: no
fused multiply-add, exact division, constants of 64 bits.
"""

import re
import tempfile

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from reparam.kernels.gpu import gaussian
from reparam.kernels.gpu.draw import draw_kernel

INTEGERS = {"key", "step", "rows", "count", "blocks", "start", "n", "per"}


def assembly(kernel, dtype, capability, absent, **constants):
    """Return the PTX of a kernel; `absent` are the pointers that are None."""
    constants |= dict.fromkeys(absent)
    signature = {}
    for name in kernel.arg_names:
        if name in constants:
            signature[name] = "constexpr"
        elif name in INTEGERS:
            signature[name] = "i64"
        else:
            signature[name] = "*i64" if name == "index" or name.endswith("pointer") else f"*{dtype}"
    source = ASTSource(kernel, signature, constexprs=constants, attrs={(0,): [["tt.divisibility", 16]]})
    made = triton.compile(
        source, target=GPUTarget("cuda", capability, 32), options={"enable_fp_fusion": False}
    )
    assert len(made.asm["cubin"]) > 0
    return made.asm["ptx"]


def draw_ptx(law, dtype, words, capability, absent):
    flags = {"MANY": "index" not in absent, "SMALL": True, "FOLD": False, "WHOLE": True, "BLOCK": 256}
    return assembly(
        draw_kernel, dtype, capability, absent, LAW=law, WORDS=words, BITS=23, UNIT=2.0**-23, **flags
    )


with tempfile.TemporaryDirectory() as folder:
    triton.knobs.cache.dir = folder
    tensors, numbers = ("key_pointer", "step_pointer"), ("index",)
    normal = draw_ptx("normal", "fp32", 1, 80, tensors)
    cauchy = draw_ptx("cauchy", "bf16", 1, 90, numbers)
    for text in (normal, cauchy):
        assert not re.search(r"fma\.\w+\.f64", text)
        assert set(re.findall(r"div\.\w+\.f\d+", text)) == {"div.rn.f64"}
    assert "st.global.v4.b32" in normal  # one wide store for a block of four words
    bits = 0x3FF921FB54442D18 + (1 << 52)  # pi
    assert f"0d{bits:016X}" in cauchy
    sizes = {"ROWS": 16, "COLS": 64, "FOLD": False, "WORDS": 1, "ALIGNED": True}
    assembly(gaussian.forward_kernel, "fp32", 90, tensors, **sizes)
print("compiled")
