package batch

// Manifest is a job's manifest.json.out: counts and tokens of the whole job.
// Embedding models have no output tokens, older jobs none at all.
type Manifest struct {
	Total        int64  `json:"totalRecordCount"`
	Processed    int64  `json:"processedRecordCount"`
	Success      int64  `json:"successRecordCount"`
	Error        int64  `json:"errorRecordCount"`
	InputTokens  *int64 `json:"inputTokenCount"`
	OutputTokens *int64 `json:"outputTokenCount"`
}
