package config

// The metrics that the functions write. infra's alarms and dashboard use the
// same constants.
const (
	// MetricNamespace holds all of them.
	MetricNamespace = "BedrockBatch"
	// DimDeployment is on every metric; its value is the stack's name.
	DimDeployment = "Deployment"
	// DimModel and DimWorkload split rows, tokens and costs; DimWorkload only
	// where Settings.WorkloadMetrics says so.
	DimModel    = "ModelId"
	DimWorkload = "Workload"
	// DimStatus splits Jobs and Submissions.
	DimStatus = "Status"
)

// Of a submission, when it ends.
const (
	MetricSubmissions       = "Submissions"       // 1, by status
	MetricSubmissionSeconds = "SubmissionSeconds" // from its upload to its end
	MetricRows              = "Rows"              // all of it; the sum of the next four
	MetricRowsAnswered      = "RowsAnswered"
	MetricRowsFailed        = "RowsFailed"
	MetricRowsSetAside      = "RowsSetAside"
	MetricRowsMissing       = "RowsMissing"
	MetricRowsKnown         = "RowsKnown"
	MetricRowsOnDemand      = "RowsAnsweredOnDemand" // of RowsAnswered
)

// Of a part, when its answers are gathered.
const (
	MetricInputTokens  = "InputTokens"
	MetricOutputTokens = "OutputTokens"
	// MetricEstimatedCost is in USD; not written where no price is known.
	MetricEstimatedCost = "EstimatedCostUSD"
	MetricJobs          = "Jobs" // 1 for a part that a job ran, by status
	// MetricJobsFailed is 1 for a job that Failed, Expired or could not be
	// created, else 0.
	MetricJobsFailed = "JobsFailed"
)

// MetricRowsRetried counts the rows of a retry round, when it is staged.
const MetricRowsRetried = "RowsRetried"

// Of each tick.
const (
	MetricOpenSubmissions      = "OpenSubmissions"
	MetricOldestOpenSeconds    = "OldestOpenSeconds"
	MetricWaitingSubmissions   = "WaitingSubmissions"
	MetricOldestWaitingSeconds = "OldestWaitingSeconds"
)
