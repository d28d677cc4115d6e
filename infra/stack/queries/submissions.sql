-- What came of each submission; compare with the notices.
SELECT dt, submission, upload, workload, count(*) AS records,
       sum(CASE WHEN status = 'answered' THEN 1 ELSE 0 END) AS answered,
       sum(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) AS failed,
       sum(CASE WHEN status = 'missing' THEN 1 ELSE 0 END) AS missing,
       coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(output_tokens), 0) AS output_tokens
FROM results
WHERE dt >= '2026-01-01'
GROUP BY dt, submission, upload, workload
ORDER BY dt, upload, submission
