-- How many records of each workload were answered, failed or are missing.
SELECT workload, status, count(*) AS records
FROM results
GROUP BY workload, status
ORDER BY workload, status
