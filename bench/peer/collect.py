"""Job outputs into results in the order of the rows: python3 collect.py ENDPOINT UPLOAD PART...

PART is INDEX,OUTPUT. The same as the product does: each line is placed by its
recordId, results carry the user's id from the index, failed rows come back as
they were dropped with their error, counts and tokens are summed. The results of
one part are held in memory until its end, as order demands.
"""
import json
import sys
import time

import wire


def main():
    endpoint, upload = sys.argv[1:3]
    w = wire.Wire(endpoint)
    start = time.time()
    results, errors = wire.Upload(w, "/out/peer/results.jsonl"), wire.Upload(w, "/out/peer/errors.jsonl")
    size = answered = failed = missing = tokens_in = tokens_out = 0
    for pair in sys.argv[3:]:
        index, output = pair.split(",")
        rows = {}
        for line in w.open("/" + index):
            row, at, length, _, user = line.decode().rstrip("\n").split("\t")
            rows[f"r{int(row):010d}"] = (int(row), int(at), int(length), user)
        done, bad = {}, {}
        for line in w.open("/" + output):
            size += len(line)
            value = json.loads(line)
            record = value["recordId"]
            if record not in rows or record in done:
                continue
            row, at, length, user = rows[record]
            error = value.get("error")
            if error:
                bad[record] = error
                continue
            answer = value["modelOutput"]
            usage = answer["usage"]
            tokens_in += usage["inputTokens"]
            tokens_out += usage["outputTokens"]
            result = {"recordId": record, "row": row}
            if user:
                result["id"] = json.loads(user)
            result.update({"output": "".join(b["text"] for b in answer["output"]["message"]["content"] if "text" in b),
                           "stopReason": answer["stopReason"],
                           "usage": {"inputTokens": usage["inputTokens"], "outputTokens": usage["outputTokens"]}, "attempt": 1})
            done[record] = (json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "surrogatepass")
        source, place = w.open("/in/" + upload) if bad else None, 0
        for record, (row, at, length, user) in rows.items():
            if record in done:
                results.write(done[record])
                answered += 1
            elif record in bad:
                skip = at - place
                while skip:
                    skip -= len(source.read(min(skip, 1 << 20)))
                original = json.loads(source.read(length))
                place = at + length
                original["_error"] = {"code": str(bad[record].get("errorCode")), "message": bad[record].get("errorMessage"), "retryable": False, "attempts": 1}
                errors.write((json.dumps(original, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "surrogatepass"))
                failed += 1
            else:
                missing += 1
        if source is not None:
            source.close()
    results.close()
    errors.close()
    w.call("PUT", "/out/peer/summary.json", json.dumps({"answered": answered, "failed": failed, "missing": missing, "tokens": [tokens_in, tokens_out]}).encode())
    wire.report(start, size, answered + failed + missing)


main()
