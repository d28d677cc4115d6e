"""Prompt rows into staged parts, as a stream: python3 prepare.py ENDPOINT KEY [whole]

The same as the product does of the same upload: rows are checked, numbered and
rendered as Converse records, parts are cut at 50 000 records or 1 GB, rows that
are none are set aside with their line and reason, and an index says where each
record's row stands and what the user called it. With "whole" the upload is read
and split at once, as most scripts do it.
"""
import json
import sys
import time

import wire

MAX_RECORDS, MAX_BYTES = 50_000, 1_000_000_000


class Part:
    def __init__(self, w, n):
        base = f"/out/peer/in/{n}"
        self.records, self.index = wire.Upload(w, base + ".jsonl"), wire.Upload(w, f"/out/peer/src/{n}.index")
        self.count = self.size = 0

    def close(self):
        self.records.close()
        self.index.close()


def main():
    endpoint, key = sys.argv[1:3]
    whole = len(sys.argv) > 3
    w = wire.Wire(endpoint)
    start = time.time()
    body = w.open("/in/" + key)
    lines = body.read().splitlines(keepends=True) if whole else body
    part, n, row, number, offset, aside = None, 0, 0, 0, 0, None
    for line in lines:
        number += 1
        at, offset = offset, offset + len(line)
        text = line.strip()
        if not text:
            continue
        row += 1
        try:
            value = json.loads(text)
            if not isinstance(value, dict):
                raise ValueError("the row is no object")
            prompt = value.get("prompt")
            if not isinstance(prompt, str) or not prompt.strip():
                raise ValueError("the row has no prompt")
        except ValueError as e:
            if aside is None:
                aside = wire.Upload(w, "/out/peer/aside.jsonl")
            aside.write((json.dumps({"line": number, "code": "not_json", "reason": str(e), "raw": text.decode("utf-8", "replace")}) + "\n").encode())
            continue
        record = (json.dumps({"recordId": f"r{row:010d}", "modelInput": {
            "messages": [{"role": "user", "content": [{"text": prompt}]}],
            "inferenceConfig": {"maxTokens": 512, "temperature": 0}}}, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "surrogatepass")
        if part is None or part.count == MAX_RECORDS or part.size + len(record) > MAX_BYTES:
            if part is not None:
                part.close()
            part, n = Part(w, n), n + 1
        part.records.write(record)
        part.index.write(f"{row}\t{at}\t{len(text)}\t\t{json.dumps(value.get('id'))}\n".encode())
        part.count += 1
        part.size += len(record)
    if part is not None:
        part.close()
    if aside is not None:
        aside.close()
    wire.report(start, offset, row)


main()
