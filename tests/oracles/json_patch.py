#!/usr/bin/python3
"""The second opinion on JSON Patch: Debian's python3-jsonpatch.

    json_patch.py       reads lines [document, patch] of JSON from standard input, applies each patch with jsonpatch and prints the
                        result as JSON, or "error <type>"
"""
import json
import sys

import jsonpatch
import jsonpointer

for line in sys.stdin:
    document, patch = json.loads(line)
    try:
        print(json.dumps(jsonpatch.apply_patch(document, patch)))
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as refused:
        print("error", type(refused).__name__)
