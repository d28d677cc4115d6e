package bedrock

import "maps"

// Measure is what the batch jobs of a model show.
type Measure struct {
	// Pending is how many records are still to be answered.
	Pending int64
	// Input and Output are the tokens since Measure was called before.
	Input, Output int64
}

// Measure looks at the jobs, by their modelId.
func (s *Service) Measure() map[string]Measure {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.used)
	clear(s.used)
	for _, j := range s.jobs {
		m := all[j.Detail.ModelID]
		if !j.Detail.Status.terminal() {
			m.Pending += max(0, j.Records-j.Detail.Processed)
		}
		all[j.Detail.ModelID] = m
	}
	return all
}

// use counts tokens of a job.
func (s *Service) use(j *job, input, output int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.used[j.Detail.ModelID]
	m.Input, m.Output = m.Input+input, m.Output+output
	s.used[j.Detail.ModelID] = m
}
