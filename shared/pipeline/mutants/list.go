package main

// mutant is a deliberate fault in the product: a place where the code is made
// to do what it must not. Old stands exactly once in File.
type mutant struct {
	Name string
	File string // below shared/
	Old  string
	New  string
	// Test names a test of Package that must fail; where there is none the
	// simulation must report a violation.
	Test, Package string
}

var list = []mutant{
	// Paid for twice.
	{
		Name: "a name of its own for every try of a job",
		File: "pipeline/create.go",
		Old:  "Name: name, ModelID:",
		New:  "Name: JobName(r.deployment, s.ID, n, attempt+r.writes%5), ModelID:",
	},
	{
		Name: "no intent is looked up before a job is created",
		File: "pipeline/create.go",
		Old:  "if p := s.part(n, attempt); p.Status == PartCreating {",
		New:  "if p := s.part(n, attempt); p.Status == PartCollected {",
	},
	{
		Name: "a name in use is taken for a failure",
		File: "pipeline/create.go",
		Old: `		r.note(ctx, "job name in use", s.ID, "name", name)
		return served{live: liveJobs(s)}, pauseBetween, nil`,
		New: "		return r.unrunnable(ctx, s.ID, n, attempt, err.Error())",
	},
	{
		Name: "seats on demand are written without condition",
		File: "pipeline/seats.go",
		Old:  "t.shared.Put(ctx, seatsKey, body, cond)",
		New:  "t.shared.Put(ctx, seatsKey, body, func(batch.Condition) batch.Condition { return batch.Condition{} }(cond))",
		Test: "TestASeatTakenBetweenAnothersReadAndWriteIsNotWrittenOver", Package: "pipeline/sim",
	},
	{
		Name: "parts of an earlier reading stay while more is known",
		File: "pipeline/prepare.go",
		Old:  "if !p.w.PaysOnlyNew() || len(p.h.Parts) == 0 {",
		New:  "if len(p.h.Parts) >= 0 {",
		Test: "TestAnUploadReadAgainWithMoreKnownKeepsItsBooks", Package: "handler",
	},
	{
		Name: "a part is stored behind one that could not be written",
		File: "pipeline/prepare.go",
		Old: `		abortAll(s.whole.writers)
		s.whole = nil`,
		New: "		_ = s.whole",
	},
	{
		Name: "Submit takes the lease of what is Collect's",
		File: "pipeline/submit.go",
		Old:  "	if idle(sub) {",
		New:  "	if idle(sub) && sub.State.Terminal() {",
		Test: "TestWhatKillsWhoeverReadsItIsGivenUpWhileTicksWakeSubmit", Package: "handler",
	},
	{
		Name: "a stored answer is asked for again",
		File: "pipeline/ask.go",
		Old:  "skip := a.have[id] || a.halted != nil",
		New:  "skip := a.halted != nil",
	},
	{
		Name: "missing rows of a completed job are asked for again",
		File: "pipeline/retry.go",
		Old:  "f.Missing && !missing || ",
		New:  "",
	},
	{
		Name: "failures for good are asked for again",
		File: "pipeline/retry.go",
		Old:  "!f.Missing && !(failed && f.Retryable)",
		New:  "!f.Missing && !failed",
	},
	{
		Name: "rows of a stopped job are asked for again",
		File: "pipeline/retry.go",
		Old:  ` || p.JobStatus == batch.Stopped {`,
		New:  ` {`,
	},
	{
		Name: "one retry too many",
		File: "pipeline/retry.go",
		Old:  "h.Round > retries(w)",
		New:  "h.Round > retries(w)+1",
	},
	{
		Name: "a job that cannot be read yet is taken for a failed one",
		File: "pipeline/collect.go",
		Old:  "r.clock.Now().Sub(*p.StartedAt) < jobUnknown",
		New:  "r.clock.Now().Sub(*p.StartedAt) < 0",
	},
	{
		Name: "the lease of a submission is not checked",
		File: "pipeline/run.go",
		Old:  "s.Lease.Owner != r.in.owner() && now.Before(s.Lease.Until)",
		New:  "s.Lease.Owner != r.in.owner() && now.Before(s.Lease.Until) && s.Stop && !s.Stop",
	},
	{
		Name: "states are written without condition",
		File: "pipeline/run.go",
		Old:  "etag, err = r.output.Put(ctx, stateKey(s.ID), body, cond)",
		New:  "etag, err = r.output.Put(ctx, stateKey(s.ID), body, batch.Condition{})",
	},
	{
		Name: "preparing goes on from the wrong row",
		File: "pipeline/prepare.go",
		Old:  "checkpoint := &Checkpoint{Position: b.Resume, Part: b.N + 1}",
		New:  "checkpoint := &Checkpoint{Position: p.at, Part: b.N + 1}",
	},

	// Stop and pause.
	{
		Name: "a stop does not hinder a job",
		File: "pipeline/dispatch.go",
		Old:  "if !s.paying() || r.overdue(s, lease.doc.PausedAt) {",
		New:  "if r.overdue(s, lease.doc.PausedAt) {",
	},
	{
		Name: "retry after a stop",
		File: "pipeline/retry.go",
		Old:  "(!h.paying() || h.Round",
		New:  "(h.Round",
	},
	{
		Name: "a job created while its submission was stopped runs on",
		File: "pipeline/create.go",
		Old:  "if s.Stop || s.State.Terminal()",
		New:  "if s.State.Terminal()",
		Test: "TestAStopThatComesWhileAJobIsCreatedStopsIt", Package: "pipeline/sim",
	},
	{
		Name: "a pause does not hinder a job",
		File: "pipeline/dispatch.go",
		Old:  "	if paused {\n		return served{live: liveJobs(s)}, 0, nil",
		New:  "	if paused && !paused {\n		return served{live: liveJobs(s)}, 0, nil",
	},
	{
		Name: "a pause does not hinder a request on demand",
		File: "pipeline/ask.go",
		Old:  "	if !paused.IsZero() {\n		a.halted, a.pausedFor",
		New:  "	if !paused.IsZero() && paused.IsZero() {\n		a.halted, a.pausedFor",
	},
	{
		Name: "who cannot see a pause asks on",
		File: "pipeline/ask.go",
		Old:  "		a.halted = err\n		return true",
		New:  "		return false",
	},

	// The deployment's seats on demand.
	{
		Name: "others' requests on demand are not counted",
		File: "pipeline/seats.go",
		Old:  "t.settings.OnDemandConcurrency - all - t.mine",
		New:  "t.settings.OnDemandConcurrency - all*0 - t.mine",
	},
	{
		Name: "a seat that was taken meanwhile is written over",
		File: "pipeline/seats.go",
		Old:  "cond := batch.Condition{IfMatch: t.etag}",
		New:  "cond := batch.Condition{}",
		Test: "TestASeatTakenBetweenAnothersReadAndWriteIsNotWrittenOver", Package: "pipeline/sim",
	},
	{
		Name: "the seats of the dead never come free",
		File: "pipeline/seats.go",
		Old:  "return !now.Before(s.Until)",
		New:  "return now.Before(time.Time{})",
	},
	{
		Name: "a model that throttled another slice is asked on",
		File: "pipeline/seats.go",
		Old:  "if now.Before(t.doc.Models[t.model].Until) {",
		New:  "if now.Before(t.doc.Models[t.model].Since) {",
		Test: "TestAModelThatThrottlesRestsForTheWholeDeployment", Package: "pipeline/sim",
	},

	// Waiting for ever.
	{
		Name: "Expired is not the end of a job",
		File: "batch/job.go",
		Old:  "case Completed, PartiallyCompleted, Failed, Stopped, Expired:",
		New:  "case Completed, PartiallyCompleted, Failed, Stopped:",
	},
	{
		Name: "the tick does not look for open submissions",
		File: "pipeline/tick.go",
		Old:  "if now.Sub(object.Modified) < age {",
		New:  "if now.Sub(object.Modified) < 10000*age {",
	},
	{
		Name: "the open marker goes before the state that ends it",
		File: "pipeline/finish.go",
		Old:  "	if err := r.publish(ctx, h, n); err != nil {",
		New:  "	_ = r.output.Delete(ctx, openKey(h.ID))\n	if err := r.publish(ctx, h, n); err != nil {",
	},
	{
		Name: "the state comes before the marker by which it is found",
		File: "pipeline/submit.go",
		Old:  "	if err := r.mark(ctx, id, m); err != nil {\n		return err\n	}\n",
		New:  "",
	},
	{
		Name: "a failed message is taken for a handled one",
		File: "handler/handler.go",
		Old:  "			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: record.MessageId})\n",
		New:  "",
	},
	{
		Name: "a message that is put off is not sent again",
		File: "handler/handler.go",
		Old:  "if err := q.resend.Send(ctx, again.Encode(), wait(tries)); err != nil {",
		New:  "if _ = again; false {",
	},
	{
		Name: "what is given up goes on being asked for ever",
		File: "pipeline/submit.go",
		Old:  "	if h.Ending != nil {\n		return r.onDemand(ctx, h)",
		New:  "	if h.Ending != nil {\n		return noDelay, true, nil",
	},
	{
		Name: "slots are waited for without end",
		File: "pipeline/dispatch.go",
		Old:  "return r.clock.Now().Sub(since) > r.settings.MaxWait.Std()",
		New:  "return r.clock.Now().Sub(since) > 100*r.settings.MaxWait.Std()",
	},
	{
		Name: "stalls are not counted",
		File: "pipeline/run.go",
		Old:  "	s.Stalls++\n",
		New:  "",
	},
	{
		Name: "waiting for a reason counts as a stall",
		File: "pipeline/run.go",
		Old:  "		if excused {\n			s.Stalls = 0\n		}\n		plan(s)",
		New:  "		plan(s)",
	},
	{
		Name: "a 412 on our own write is taken for a conflict",
		File: "pipeline/run.go",
		Old:  "if again == nil && there.Writer == s.Writer {",
		New:  "if again == nil && there.Writer == s.Writer && there.ID == \"\" {",
	},
	{
		Name: "the writer's mark lacks the number of its write",
		File: "pipeline/run.go",
		Old:  `return fmt.Sprintf("%s/%d", r.in.ID, r.writes)`,
		New:  `return fmt.Sprintf("%s/%d", r.in.ID, 0*r.writes)`,
	},
	{
		Name: "collect and submit wake each other without end",
		File: "pipeline/collect.go",
		Old:  "	if r.staged {\n",
		New:  "	if r.staged || h.any(func(p *Part) bool { return p.Status == PartWaiting || p.Status == PartCreating }) {\n",
	},
	{
		Name: "a wake at a taken dispatcher's lease is lost",
		File: "pipeline/dispatch.go",
		Old:  "			h.doc.Again++\n",
		New:  "			return nil, nil\n",
		Test: "TestAWakeAtATakenDispatcherIsNotLost", Package: "pipeline/sim",
	},
	{
		Name: "two dispatchers at once",
		File: "pipeline/dispatch.go",
		Old:  `held := h.doc.Owner != "" && h.doc.Owner != r.in.owner() && r.clock.Now().Before(h.doc.Until)`,
		New:  `held := h.doc.Owner != "" && h.doc.Owner != r.in.owner() && r.clock.Now().Before(h.doc.Until) && h.doc.Version == 0`,
		Test: "TestOnlyOneDispatcherOfAModelCreatesJobs", Package: "pipeline/sim",
	},

	// Finished means finished, one notice.
	{
		Name: "a terminal state is written over",
		File: "pipeline/run.go",
		Old:  "		if s.State.Terminal() {\n			return s, nil // finished means finished\n		}\n",
		New:  "",
	},
	{
		Name: "an event that comes late lowers a status",
		File: "pipeline/collect.go",
		Old:  `if p == nil || p.Status == PartCollected || p.JobStatus != "" && p.Status == PartEnded {`,
		New:  `if p != nil { p.Status = PartRunning }; if p == nil {`,
	},
	{
		Name: "published before the last part is gathered",
		File: "pipeline/collect.go",
		Old:  "if h.any(func(p *Part) bool { return p.Status != PartCollected }) && h.Checkpoint == nil {",
		New:  "if h.any(func(p *Part) bool { return p.Status == PartEnded }) && h.Checkpoint == nil {",
	},
	{
		Name: "a stop behind the books changes the notice",
		File: "pipeline/notice.go",
		Old:  "n.Status, n.Reason = s.Status, s.Reason",
		New:  "n.Status, n.Reason = verdict(s)",
		Test: "TestAStopBehindTheBooksDoesNotChangeTheNotice", Package: "pipeline/sim",
	},
	{
		Name: "a new notice id for every publication",
		File: "pipeline/notice.go",
		Old:  "NoticeID: noticeID(s.ID), Submission:",
		New:  "NoticeID: noticeID(s.ID) + r.in.ID, Submission:",
	},

	// Rows.
	{
		Name: "inner join: rows without a line are dropped",
		File: "answer/order.go",
		Old:  "		o.tally.Missing++\n",
		New:  "		return nil\n",
	},
	{
		Name: "an error inside modelOutput is taken for an answer",
		File: "answer/line.go",
		Old:  "case f.hasOutput && a.Failed:",
		New:  "case f.hasOutput && a.Failed && f.hasError:",
	},
	{
		Name: "rows that run out of time are not asked for again",
		File: "pipeline/retry.go",
		Old:  "case batch.Expired, batch.PartiallyCompleted, batch.Failed:",
		New:  "case batch.PartiallyCompleted, batch.Failed:",
	},
	{
		Name: "late output is not waited for",
		File: "pipeline/collect.go",
		Old:  "wait := r.clock.Now().Sub(*p.EndedAt) < r.settings.LateOutput.Std()",
		New:  "wait := r.clock.Now().Sub(*p.EndedAt) < 0*r.settings.LateOutput.Std()",
	},
	{
		Name: "missing rows are not counted",
		File: "pipeline/finish.go",
		Old:  "		rows.Missing += p.Final.Missing\n",
		New:  "",
	},
	{
		Name: "parts below a job's minimum are sent as jobs",
		File: "pipeline/prepare.go",
		Old:  "if b.Small || b.Records == 0 {",
		New:  "if b.Records == 0 {",
	},
	{
		Name: "staged files are left behind",
		File: "pipeline/finish.go",
		Old:  "if keys = append(keys, object.Key); len(keys) == 1000 {",
		New:  "if keys = append(keys, object.Key)[:len(keys)]; len(keys) == 1000 {",
	},
	{
		Name: "a state of newer code is written over",
		File: "pipeline/run.go",
		Old:  "if version.Version > StateVersion {",
		New:  "if version.Version > 1000*StateVersion {",
	},

	// Deadlines.
	{
		Name: "a job is created though its rows go on demand",
		File: "pipeline/dispatch.go",
		Old:  "	if p.Late {\n",
		New:  "	if p.Late && s.Stop {\n",
	},
	{
		Name: "rows go on demand while their jobs still run",
		File: "pipeline/deadline.go",
		Old:  "return p.Late && p.Status != PartCollected",
		New:  "return p.Late && p.Status != PartCollected && p.Attempt > 99",
		Test: "TestWhatHasNoAnswerAtTheDeadlineGoesOnDemand", Package: "handler",
	},
	{
		Name: "a deadline knows no cap",
		File: "pipeline/deadline.go",
		Old:  "d.EstimatedUSD+usd > d.MaxCostUSD",
		New:  "d.EstimatedUSD > d.MaxCostUSD",
	},
	{
		Name: "rows that go on demand are also asked in a retry round",
		File: "pipeline/retry.go",
		Old:  "if p.Late || p.Status",
		New:  "if p.Status",
	},

	// Requests.
	{
		Name: "the message of a request is lost when its marker is put again",
		File: "pipeline/tick.go",
		Old:  `if s.Kind == KindRequest && s.ModelID == "" && s.Ending == nil {`,
		New:  `if s.Kind == KindRequest && s.ModelID == "" && s.Ending != nil {`,
	},
	{
		Name: "a request that comes again is another one",
		File: "pipeline/request.go",
		Old:  "id := RequestID(name)",
		New:  "id := RequestID(name + in.ID)",
	},
	{
		Name: "a request without an id has that of whichever message brings it",
		File: "handler/handler.go",
		Old:  "cmp.Or(m.own.MessageID, messageID), m.own.Tries)",
		New:  "cmp.Or(messageID, m.own.MessageID), m.own.Tries)",
	},

	// Known rows.
	{
		Name: "rows whose answer is known are asked all the same",
		File: "pipeline/recall.go",
		Old:  "r.start, r.end, r.known = start, len(b.out), true",
		New:  "b.out = b.out[:start]",
	},
	{
		Name: "the answer that stands in a known place is believed unseen",
		File: "pipeline/recall.go",
		Old:  "tail, ok := bytes.CutPrefix(line, w.content.appendText(text[:0]))",
		New:  "tail, ok := line[len(w.content.appendText(text[:0])):], true",
		Test: "TestWhatCannotBeRecalledIsPaidAgain", Package: "handler",
	},
	{
		Name: "answers are known whatever the settings were",
		File: "pipeline/remember.go",
		Old:  "h := sha256.Sum256(text)\n	return config.Known",
		New:  "h := sha256.Sum256(text[:0])\n	return config.Known",
		Test: "TestOtherSettingsAreOtherQuestions", Package: "handler",
	},
	{
		Name: "known rows are left out when a part is merged",
		File: "pipeline/merge.go",
		Old:  "merging.Attempts = append(merging.Attempts, answer.Attempt{Number: knownAttempt, Results: known})",
		New:  "_ = known",
	},
	{
		Name: "code that knows of no known rows may change a submission that has some",
		File: "pipeline/run.go",
		Old:  "s.Version = StateVersion",
		New:  "s.Version = firstVersion",
		Test: "TestOlderCodeLeavesKnownRowsAlone", Package: "handler",
	},

	// Gathered folders.
	{
		Name: "a version that a round took is not marked",
		File: "pipeline/settle.go",
		Old:  "_, err := r.output.Put(ctx, takenKey(id), mark, batch.Condition{IfAbsent: true})",
		New:  "var err error",
	},
	{
		Name: "a round is listed anew by whoever takes it up again",
		File: "pipeline/settle.go",
		Old:  "	if errors.Is(err, batch.ErrNotFound) {\n		if listing, err = r.takeNotes(ctx, folder, n); err == nil && len(listing) > 0 {",
		New:  "	if err == nil || errors.Is(err, batch.ErrNotFound) {\n		if listing, err = r.takeNotes(ctx, folder, n); err == nil && len(listing) > 0 {",
	},
}
