-- Answers and tokens of each day, workload and model.
SELECT dt, workload, model, count(*) AS answered, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
FROM results
WHERE status = 'answered'
GROUP BY dt, workload, model
ORDER BY dt, workload, model
