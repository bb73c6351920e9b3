#!/usr/bin/env python3
"""Makes blocks.json, and the GGUF files here with values.json, by the gguf package.

    make.py            (needs: python3 -m pip install gguf==0.19.0 numpy)

blocks.json: for every number format, random blocks decoded to float32. The bytes of the blocks are splitmix64 from
the seed; one bit is cleared in the high byte of every floating-point number, so that all are finite.
"""

import hashlib
import importlib.metadata
import json
import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

HERE = pathlib.Path(__file__).parent
BLOCKS = 128

# For each format, the high bytes of the floating-point numbers of a block.
HIGH_BYTES = {
    "F32": [3], "F16": [1], "BF16": [1], "Q4_0": [1], "Q4_1": [1, 3], "Q5_0": [1], "Q5_1": [1, 3], "Q8_0": [1],
    "Q2_K": [81, 83], "Q3_K": [109], "Q4_K": [1, 3], "Q5_K": [1, 3], "Q6_K": [209], "IQ4_NL": [1], "IQ4_XS": [1],
}


def random_bytes(seed, count):
    """The first bytes of splitmix64, each number little-endian."""
    mask, state, out = (1 << 64) - 1, seed, bytearray()
    while len(out) < count:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out += (z ^ (z >> 31)).to_bytes(8, "little")
    return bytes(out[:count])


def random_blocks(name, seed, blocks):
    _, size = GGML_QUANT_SIZES[Type[name]]
    data = np.frombuffer(random_bytes(seed, blocks * size), np.uint8).reshape(blocks, size).copy()
    data[:, HIGH_BYTES[name]] &= 0xBF
    return data


def decode(data, kind):
    return np.ascontiguousarray(dequantize(data, kind), dtype=np.float32)


def sha256(values):
    return hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()


def block_goldens():
    formats = []
    for seed, name in enumerate(HIGH_BYTES, 1):
        elements, size = GGML_QUANT_SIZES[Type[name]]
        values = decode(random_blocks(name, seed, BLOCKS), Type[name])
        assert np.isfinite(values).all()
        formats.append({"name": name, "id": int(Type[name]), "block_elements": elements, "block_bytes": size,
                        "seed": seed, "blocks": BLOCKS, "high_bytes": HIGH_BYTES[name], "sha256": sha256(values),
                        "first": [float(x) for x in values.ravel()[:8]]})
    return formats


def add_tensors(writer):
    writer.add_tensor("plain.weight", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("half.weight", np.arange(5, dtype=np.float16) / np.float16(8))
    for seed, (name, shape) in enumerate({"Q4_1": (3, 64), "Q8_0": (2, 32), "Q6_K": (2, 256)}.items(), 100):
        elements, size = GGML_QUANT_SIZES[Type[name]]
        rows, columns = shape
        data = random_blocks(name, seed, rows * columns // elements).reshape(rows, columns // elements * size)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=Type[name])


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_whole(path):
    writer = GGUFWriter(path, "llama")
    writer.add_custom_alignment(64)
    for kind, value in {"uint8": 200, "int8": -100, "uint16": 60000, "int16": -30000, "uint32": 4000000000,
                        "int32": -2000000000, "float32": 0.1, "uint64": 2**63 + 1, "int64": -(2**62),
                        "float64": 0.1}.items():
        getattr(writer, "add_" + kind)("test." + kind, value)
    writer.add_bool("test.yes", True)
    writer.add_bool("test.no", False)
    writer.add_string("test.text", "ein Wort: Gl\u00fcck")
    writer.add_array("test.strings", ["a", "", "\u0120t"])
    writer.add_array("test.integers", [3, -1, 7])
    writer.add_array("test.numbers", [0.5, -1.25])
    writer.add_array("test.nested", [[1, 2], [3]])
    add_tensors(writer)
    write(writer)


def tensor_goldens(paths):
    return {t.name: {"shape": [int(n) for n in reversed(t.shape)], "type": t.tensor_type.name,
                     "sha256": sha256(decode(t.data, t.tensor_type)), "file": path.name}
            for path in paths for t in GGUFReader(path).tensors}


def main():
    versions = {"gguf": importlib.metadata.version("gguf"), "numpy": np.__version__}
    rows = ",\n".join(json.dumps(row) for row in block_goldens())
    (HERE / "blocks.json").write_text(f'{{"versions": {json.dumps(versions)}, "formats": [\n{rows}\n]}}\n')
    for old in HERE.glob("*.gguf"):
        old.unlink()
    write_whole(HERE / "whole.gguf")
    split = GGUFWriter(HERE / "parts.gguf", "llama", split_max_tensors=2)
    add_tensors(split)
    write(split)
    values = {"versions": versions, "whole": tensor_goldens([HERE / "whole.gguf"]),
              "parts": tensor_goldens(sorted(HERE.glob("parts-*.gguf")))}
    rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())
    (HERE / "values.json").write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main()
