#!/usr/bin/python3
"""The second opinion on canonical MessagePack: Debian's python3-msgpack.

    msgpack_vectors.py vectors          writes tests/Cairn.Tests/Fixtures/msgpack/vectors.json to standard output
    msgpack_vectors.py check            reads lines "<hex>" from standard input, decodes each with msgpack, encodes the result
                                        again and prints the hex, or "error <reason>"

A description is JSON that needs no knowledge of Cairn's own JSON form: null, true, {"i": "42"}, {"f": "<16 hex digits of the bits>"},
{"s": "text"}, {"b": "<hex>"}, {"a": [..]}, {"o": [["name", ..], ..]} with members in the order of the encoding.
Long strings, byte strings and arrays are given as {"repeat": [n, description of a one-character string, one-byte string or element]}.
"""
import json
import struct
import sys

import msgpack


def ordered(value):
    """The same value with the members of each object in the order of their UTF-8 bytes; the rest is msgpack's own doing."""
    if isinstance(value, dict):
        return {k: ordered(value[k]) for k in sorted(value, key=lambda k: k.encode("utf-8"))}
    if isinstance(value, list):
        return [ordered(v) for v in value]
    return value


def encode(value):
    return msgpack.packb(ordered(value), use_bin_type=True, use_single_float=False)


def decode(data):
    return msgpack.unpackb(data, raw=False, strict_map_key=True)


def describe(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {"i": str(value)}
    if isinstance(value, float):
        return {"f": struct.pack(">d", value).hex()}
    if isinstance(value, str):
        if len(value) > 64 and value == value[0] * len(value):
            return {"repeat": [len(value), {"s": value[0]}]}
        return {"s": value}
    if isinstance(value, bytes):
        if len(value) > 64 and value == value[:1] * len(value):
            return {"repeat": [len(value), {"b": value[:1].hex()}]}
        return {"b": value.hex()}
    if isinstance(value, list):
        if len(value) > 64 and all(v == value[0] for v in value):
            return {"repeat": [len(value), {"a": [describe(value[0])]}]}
        return {"a": [describe(v) for v in value]}
    return {"o": [[k, describe(v)] for k, v in ordered(value).items()]}


def samples():
    yield from (None, True, False)
    edges = {0, 1, 42, -1, -2, 2**63 - 1, -(2**63)}
    for bound in (2**5, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**53, 2**62):
        for near in (-1, 0, 1):
            edges |= {bound + near, -(bound + near)}
    yield from sorted(e for e in edges if -(2**63) <= e < 2**63)
    yield from (0.0, -0.0, 1.0, -1.0, 0.1, 1e16, 1e-5, 1e308, 5e-324, 2.0**53, float("inf"), float("-inf"), float("nan"))
    yield from ("", "a", "\0", "a\0b", "\u00e9", "\u20ac", "\U0001f5ff", "\uffff", "e\u0301", "line\nbreak", "\"quoted\\\"")
    for length in (31, 32, 255, 256, 65535, 65536):
        yield "x" * length
        yield "\u00e9" * length
        yield b"\x07" * length
    yield from (b"", b"\x00", b"\xff\x00\xc1", bytes(range(64)))
    yield from ([], [None], [1, 1.0, "1", b"1"], [[], [[]], {}], list(range(15)), list(range(16)))
    for length in (65535, 65536):
        yield [None] * length
    yield {}
    yield {"a": None}
    yield {"b": 1, "a": 2, "": 3, "aa": 4, "B": 5}
    # UTF-16 would order these two the other way round.
    yield {"\U0001f5ff": 1, "\uff5e": 2, "\u00e9": 3}
    yield {f"k{i}": i for i in range(15)}
    yield {f"k{i}": i for i in range(16)}
    yield {f"key-{i:05d}": i for i in range(300)}
    yield {"tool": "crm.lookup", "id": 4711, "score": 0.5, "tags": ["a", "b"], "raw": b"\x00\x01", "nested": {"deep": [{"x": None}]}}
    nested = 1
    for _ in range(100):
        nested = [nested]
    yield nested


def vectors():
    cases = []
    for value in samples():
        data = encode(value)
        assert encode(decode(data)) == data
        case = {"value": describe(value)}
        if len(data) <= 4096:
            case["hex"] = data.hex()
        else:
            # A long repetition: its head and length say all.
            case["head"] = data[:64].hex()
            case["length"] = len(data)
        cases.append(case)
    lines = ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in cases)
    print(f'{{"made_by":"tests/oracles/msgpack_vectors.py vectors, msgpack {".".join(map(str, msgpack.version))}","cases":[\n{lines}\n]}}')


def check():
    for line in sys.stdin:
        try:
            print(encode(decode(bytes.fromhex(line.strip()))).hex())
        except Exception as error:  # the other side reports it with the input
            print("error", type(error).__name__, error)


if __name__ == "__main__":
    {"vectors": vectors, "check": check}[sys.argv[1]]()
