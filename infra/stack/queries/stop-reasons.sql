-- Why answers ended: max_tokens are cut off, refusal and content_filtered no answers to what was asked.
SELECT workload, stop_reason, count(*) AS answers, avg(output_tokens) AS tokens_each
FROM results
WHERE status = 'answered'
GROUP BY workload, stop_reason
ORDER BY workload, answers DESC, stop_reason
