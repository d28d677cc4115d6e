-- Records that were answered in a later attempt than the first.
SELECT workload, attempt, count(*) AS answers
FROM results
WHERE status = 'answered' AND attempt > 1
GROUP BY workload, attempt
ORDER BY workload, attempt
