-- The most common errors.
SELECT workload, error_code, error_message, count(*) AS records
FROM results
WHERE status <> 'answered'
GROUP BY workload, error_code, error_message
ORDER BY records DESC, workload, error_code, error_message
LIMIT 20
