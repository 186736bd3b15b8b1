#!/usr/bin/python3
"""Golden vectors of the event hash chain (EV-3, EV-4), made without Cairn.

Prints the literals of tests/Cairn.Tests/Codec/EventHashTests.cs. Standard library only; the payloads are canonical MessagePack
written by hand.
"""
import hashlib
import struct

EVENTS = [
    # type, commit time in microseconds, salt, canonical payload
    ("tool_call", 1_700_000_000_000_000, bytes(range(16)),
     bytes.fromhex("82a2 6964 cd1267 a4 746f6f6c aa 63726d2e6c6f6f6b7570".replace(" ", ""))),
    ("\u00e9v\u00e9nement", 1_700_000_000_000_001, bytes(range(16, 32)), bytes.fromhex("80")),
    ("$redacted", -1, b"\xff" * 16, bytes.fromhex("81a16e00")),
    ("big", 1_700_000_000_000_001, b"\x00" * 16, b"\x81\xa1b\xc5\x10\x00" + bytes(i & 0xFF for i in range(4096))),
]

previous = bytes(32)
for number, (name, time, salt, payload) in enumerate(EVENTS):
    kind = name.encode("utf-8")
    payload_hash = hashlib.sha256(salt + payload).digest()
    digest = hashlib.sha256(
        struct.pack("<QI", number, len(kind)) + kind + struct.pack("<q", time) + payload_hash + previous
    ).digest()
    print(number, name, payload_hash.hex(), digest.hex())
    previous = digest
