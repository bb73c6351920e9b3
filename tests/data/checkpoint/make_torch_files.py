"""Writes state_dict.bin: what torch.save makes of a small state dict, without torch.

Python's own pickler writes the pickle; the classes that torch would contribute are stand-ins that
carry torch's names. The archive has the layout of torch.save since PyTorch 1.6. The values are listed
in tests/unit/checkpoint/torch_file_test.cc.

Run: python3 make_torch_files.py
"""

import collections
import io
import pickle
import struct
import sys
import types
import zipfile


def stand_in(module, name, make):
    """Registers `make` so that pickle refers to it as module.name."""
    parts = module.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[: i + 1]), types.ModuleType(parts[i]))
    make.__module__, make.__qualname__, make.__name__ = module, name, name
    setattr(sys.modules[module], name, make)
    return make


STORAGES = {
    name: stand_in("torch", name, type(name, (), {}))
    for name in ["FloatStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "BoolStorage"]
}
rebuild_tensor = stand_in("torch._utils", "_rebuild_tensor_v2", lambda *fields: None)
rebuild_parameter = stand_in("torch._utils", "_rebuild_parameter", lambda *fields: None)


class Storage:
    def __init__(self, kind, key, data, count):
        self.kind, self.key, self.data, self.count = kind, key, data, count


class Tensor:
    def __init__(self, storage, offset, size, stride):
        self.fields = (storage, offset, size, stride, False, collections.OrderedDict())

    def __reduce__(self):
        return rebuild_tensor, self.fields


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return rebuild_parameter, (self.tensor, True, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        return ("storage", STORAGES[value.kind], value.key, "cpu", value.count)


class StateDict(collections.OrderedDict):
    """Like a module's state dict, which has its version numbers as an attribute."""

    def __reduce__(self):
        state = {"_metadata": collections.OrderedDict([("", {"version": 1})])}
        return collections.OrderedDict, (), state, None, iter(self.items())


def main():
    floats = Storage("FloatStorage", "0", struct.pack("<6f", 1, 2, 3, 4, 5, 6), 6)
    halves = Storage("HalfStorage", "1", struct.pack("<3e", 0.5, -2, 65504), 3)
    brains = Storage("BFloat16Storage", "2", struct.pack("<2H", 0x3F80, 0xC040), 2)  # 1, -3
    longs = Storage("LongStorage", "3", struct.pack("<q", -7), 1)
    bools = Storage("BoolStorage", "4", bytes([1, 0, 1]), 3)
    state = StateDict()
    state["matrix"] = Tensor(floats, 0, (2, 3), (3, 1))
    state["transposed"] = Tensor(floats, 0, (3, 2), (1, 3))
    state["row"] = Parameter(Tensor(floats, 3, (3,), (1,)))
    state["half"] = Tensor(halves, 0, (3,), (1,))
    state["brain"] = Tensor(brains, 0, (2, 1), (1, 1))
    state["scalar"] = Tensor(longs, 0, (), ())
    state["mask"] = Tensor(bools, 0, (3,), (1,))
    state["empty"] = Tensor(floats, 0, (0, 4), (4, 1))

    pickled = io.BytesIO()
    Pickler(pickled, protocol=2).dump(state)
    with zipfile.ZipFile("state_dict.bin", "w", zipfile.ZIP_STORED) as archive:

        def record(name, data):
            archive.writestr(zipfile.ZipInfo("archive/" + name, (1980, 1, 1, 0, 0, 0)), data)

        record("data.pkl", pickled.getvalue())
        record("byteorder", b"little")
        for storage in [floats, halves, brains, longs, bools]:
            record("data/" + storage.key, storage.data)
        record("version", b"3\n")


main()
