"""Drops the `.debug_*` sections of a .wasm file in place and keeps its function names, which no linker flag does."""

import sys


def leb(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


path = sys.argv[1]
data = open(path, "rb").read()
kept, at = data[:8], 8
while at < len(data):
    size, body = leb(data, at + 1)
    name_len, name = leb(data, body) if data[at] == 0 else (0, body)
    if not data[name : name + name_len].startswith(b".debug_"):
        kept += data[at : body + size]
    at = body + size
open(path, "wb").write(kept)
