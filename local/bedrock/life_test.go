package bedrock_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"

	"github.com/bedrock-batch/bedrock-batch/local/bedrock"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock/model"
)

func TestAJobPassesEveryStateAndAnswersEveryRecordOnceInNoParticularOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		arn := w.create("plain", records(250))
		if got := w.get(arn); got.Status != types.ModelInvocationJobStatusSubmitted || *got.TotalRecordCount != 0 {
			t.Errorf("at first: %s with %d records", got.Status, *got.TotalRecordCount)
		}
		time.Sleep(2 * time.Second) // of the three that a job takes
		if got := w.get(arn); got.Status != types.ModelInvocationJobStatusInProgress || *got.ProcessedRecordCount == 0 || *got.ProcessedRecordCount >= 250 {
			t.Errorf("half way: %s with %d records done", got.Status, *got.ProcessedRecordCount)
		}
		time.Sleep(2 * time.Second)
		want := []string{"Submitted", "Validating", "Scheduled", "InProgress", "Completed"}
		if got := w.bus.path("plain"); !slices.Equal(got, want) {
			t.Errorf("states %v, want %v", got, want)
		}
		got := w.get(arn)
		if *got.TotalRecordCount != 250 || *got.SuccessRecordCount != 250 || *got.ErrorRecordCount != 0 || got.EndTime == nil {
			t.Errorf("counts %d %d %d, end %v", *got.TotalRecordCount, *got.SuccessRecordCount, *got.ErrorRecordCount, got.EndTime)
		}
		if want := "arn:aws:bedrock:us-east-1:123456789012:inference-profile/" + nova; *got.ModelId != want {
			t.Errorf("model %s, want %s", *got.ModelId, want)
		}
		lines, manifest := w.output("plain", arn)
		var ids []string
		texts := map[string]bool{}
		for _, l := range lines {
			ids = append(ids, l.RecordID)
			texts[string(l.ModelOutput)] = true
		}
		if slices.IsSorted(ids) {
			t.Error("the output is in the order of the input")
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) != 250 || len(lines) != 250 || len(texts) != 250 {
			t.Errorf("%d lines, %d records, %d different answers; want 250 of each", len(lines), len(ids), len(texts))
		}
		if manifest["totalRecordCount"] != 250 || manifest["successRecordCount"] != 250 || manifest["inputTokenCount"] == 0 || manifest["outputTokenCount"] == 0 {
			t.Errorf("manifest %v", manifest)
		}
	})
}

func TestAStopKeepsWhatWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		arn := w.create("halted", records(400))
		time.Sleep(2 * time.Second)
		for range 2 { // a second stop while Stopping is fine
			if _, err := w.api.StopModelInvocationJob(t.Context(), &sdk.StopModelInvocationJobInput{JobIdentifier: &arn}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		lines, _ := w.output("halted", arn)
		got := w.get(arn)
		if got.Status != types.ModelInvocationJobStatusStopped || len(lines) == 0 || len(lines) >= 400 || int64(len(lines)) != *got.ProcessedRecordCount {
			t.Errorf("%s, %d lines, %d counted", got.Status, len(lines), *got.ProcessedRecordCount)
		}
		want := []string{"Submitted", "Validating", "Scheduled", "InProgress", "Stopping", "Stopped"}
		if path := w.bus.path("halted"); !slices.Equal(path, want) {
			t.Errorf("states %v", path)
		}
		_, err := w.api.StopModelInvocationJob(t.Context(), &sdk.StopModelInvocationJobInput{JobIdentifier: &arn})
		if code(err) != "ConflictException" {
			t.Errorf("stopping a stopped job: %v", err)
		}
	})
}

func TestJobsGoOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		names := []string{"early", "late"}
		arns := []string{w.create("early", records(120))}
		time.Sleep(2 * time.Second) // InProgress
		arns = append(arns, w.create("late", records(120)))
		w.service.Close()
		w.open()
		time.Sleep(5 * time.Second)
		for i, arn := range arns {
			lines, manifest := w.output(names[i], arn)
			if got := w.get(arn); got.Status != types.ModelInvocationJobStatusCompleted || len(lines) != 120 || manifest == nil {
				t.Errorf("%s: %s with %d lines", names[i], got.Status, len(lines))
			}
		}
	})
}

func TestAJobInANetworkMakesItsInterfacesAsItsRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.change = inNetwork
		arn := w.create("inside", records(100))
		time.Sleep(5 * time.Second)
		got := w.get(arn)
		if got.Status != types.ModelInvocationJobStatusCompleted || got.VpcConfig == nil || !slices.Equal(got.VpcConfig.SubnetIds, []string{"subnet-1"}) {
			t.Errorf("%s in %+v: %s", got.Status, got.VpcConfig, aws.ToString(got.Message))
		}
		var asked []string
		for _, call := range w.authority.asked {
			if strings.HasPrefix(call.Action, "ec2:") {
				asked = append(asked, call.Action+" "+call.Resource[strings.LastIndex(call.Resource, ":")+1:])
			}
		}
		const eni = "network-interface/eni-0123456789abcdef0"
		if want := []string{"ec2:CreateNetworkInterface " + eni, "ec2:CreateNetworkInterface security-group/sg-1", "ec2:CreateNetworkInterface subnet/subnet-1",
			"ec2:CreateNetworkInterfacePermission " + eni, "ec2:DeleteNetworkInterface " + eni, "ec2:CreateTags " + eni}; !slices.Equal(asked, want) {
			t.Errorf("asked for %q", asked)
		}
	})
}

// inNetwork puts a job into a network.
func inNetwork(q *sdk.CreateModelInvocationJobInput) {
	q.VpcConfig = &types.VpcConfig{SubnetIds: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}}
}

func TestJobsThatCannotRunFailWhileValidating(t *testing.T) {
	tests := []struct {
		name    string
		body    []byte
		prepare func(*world)
		message string
	}{
		{"too few records", records(99), nil, "Batch job contains less records (99) than the required minimum of: 100"},
		{"too many records", records(50_001), nil, "more records than the allowed maximum of: 50000"},
		{"a line that is not JSON", append(records(150), "oops\n"...), nil, "line 151 is not a JSON object"},
		{"a blank line", append(append(records(120), '\n'), records(120)...), nil, "line 121 is not a JSON object"},
		{"a record without modelInput", append(records(150), `{"recordId":"x"}`...), nil, "line 151 has no modelInput"},
		{"a modelInput that is a text", append(records(150), `{"modelInput":"x"}`...), nil, "modelInput that is not a JSON object"},
		{"a recordId that is a number", append(records(150), `{"recordId":7,"modelInput":{}}`...), nil, "recordId that is not a string"},
		{"an unknown member", append(records(150), `{"modelInput":{},"model":"x"}`...), nil, `member "model"`},
		{"two values in a line", append(records(150), `{"modelInput":{}} {}`...), nil, "more than one JSON value"},
		{"a role that does not trust the service", records(100), func(w *world) { w.authority.noTrust = true }, "could not assume the role"},
		{"a role that may not read", records(100), func(w *world) { w.store.denyGet = true }, "Could not validate GetObject permissions to access Amazon S3 bucket: bucket"},
		{"a role that may not write", records(100), func(w *world) { w.store.denyPut = true }, "Could not validate PutObject permissions to access Amazon S3 bucket: bucket"},
		{"an input bucket that is somebody else's", records(100), func(w *world) {
			w.change = func(q *sdk.CreateModelInvocationJobInput) {
				q.InputDataConfig.(*types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig).Value.S3BucketOwner = aws.String("444455556666")
			}
		}, "Could not validate GetObject permissions to access Amazon S3 bucket: bucket"},
		{"an output bucket that is somebody else's", records(100), func(w *world) {
			w.change = func(q *sdk.CreateModelInvocationJobInput) {
				q.OutputDataConfig.(*types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig).Value.S3BucketOwner = aws.String("444455556666")
			}
		}, "Could not validate PutObject permissions to access Amazon S3 bucket: bucket"},
		{"a role that may make no interface in a subnet", records(100), func(w *world) {
			w.change = inNetwork
			w.authority.deny = map[string]string{"ec2:CreateNetworkInterface": "subnet-1"}
		}, "Could not make a network interface"},
		{"a role that may not tag interfaces", records(100), func(w *world) {
			w.change = inNetwork
			w.authority.deny = map[string]string{"ec2:CreateTags": "network-interface"}
		}, "Could not make a network interface"},
		{"a bucket that is not there", records(100), func(w *world) { w.store.noBucket = true }, "does not exist"},
		{"a role without the profile", records(100), func(w *world) { w.authority.deny = map[string]string{"bedrock:InvokeModel": "inference-profile"} }, "Customer doesn't have permissions to invokeModel"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				if test.prepare != nil {
					test.prepare(w)
				}
				arn := w.create("bad", test.body)
				time.Sleep(5 * time.Second)
				got := w.get(arn)
				if got.Status != types.ModelInvocationJobStatusFailed || !strings.Contains(aws.ToString(got.Message), test.message) {
					t.Errorf("%s: %q", got.Status, aws.ToString(got.Message))
				}
				if *got.TotalRecordCount != 0 {
					t.Errorf("%d records counted", *got.TotalRecordCount)
				}
				all := w.bus.all()
				last := all[len(all)-1]
				if last.Detail.Status != "Failed" || last.Detail.FailureMessage != *got.Message {
					t.Errorf("event %+v", last.Detail)
				}
				if keys := w.store.keys("bucket/staged/bad/out"); len(keys) > 0 {
					t.Errorf("output %v", keys)
				}
			})
		})
	}
}

// moves are the only transitions there are.
var moves = map[string][]string{
	"":           {"Submitted"},
	"Submitted":  {"Validating", "Stopping"},
	"Validating": {"Scheduled", "Failed", "Stopping"},
	"Scheduled":  {"InProgress", "Expired", "Stopping"},
	"InProgress": {"Completed", "PartiallyCompleted", "Failed", "Stopping"},
	"Stopping":   {"Stopped"},
}

func TestOnlyKnownTransitionsHappenOverThousandsOfRandomJobs(t *testing.T) {
	ends := map[string]int{}
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(c *bedrock.Config) {
				c.Seed, c.Slots = seed, 1000
				c.Partial, c.Expire, c.Stop, c.FailRecords = 0.2, 0.1, 0.2, 0.05
				c.Answers = model.BuiltIn(model.Rates{Truncate: 0.05, Refuse: 0.05, Reason: 0.1})
			})
			random := rand.New(rand.NewPCG(seed, 2))
			good, bad := records(100), records(7)
			arns := map[string]string{}
			for i := range 500 {
				name := fmt.Sprintf("job-%d-%d", seed, i)
				body := good
				if random.IntN(10) == 0 {
					body = bad
				}
				arns[name] = w.create(name, body)
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
				if random.IntN(8) == 0 { // somebody stops any job at any time
					other := fmt.Sprintf("job-%d-%d", seed, random.IntN(i+1))
					_, err := w.api.StopModelInvocationJob(t.Context(), &sdk.StopModelInvocationJobInput{JobIdentifier: aws.String(arns[other])})
					if err != nil && code(err) != "ConflictException" {
						t.Fatal(err)
					}
				}
				if random.IntN(100) == 0 {
					w.service.Close()
					w.open()
				}
			}
			time.Sleep(time.Minute)
			for name, arn := range arns {
				path := w.bus.path(name)
				at := ""
				for _, status := range path {
					if !slices.Contains(moves[at], status) {
						t.Errorf("%s: %v", name, path)
						break
					}
					at = status
				}
				got := w.get(arn)
				if moves[at] != nil || string(got.Status) != at {
					t.Errorf("%s ends as %q, Get says %s", name, at, got.Status)
				}
				ends[at]++
				checkOutput(t, w, name, arn, got)
			}
		})
	}
	for _, end := range []string{"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"} {
		if ends[end] < 20 {
			t.Errorf("only %d jobs ended as %s: %v", ends[end], end, ends)
		}
	}
}

// checkOutput holds what a job left against its status and counts.
func checkOutput(t *testing.T, w *world, name, arn string, got *sdk.GetModelInvocationJobOutput) {
	t.Helper()
	lines, manifest := w.output(name, arn)
	ids := map[string]bool{}
	var failed int64
	for _, l := range lines {
		ids[l.RecordID] = true
		if l.Error != nil {
			failed++
		}
		if (l.Error == nil) == (l.ModelOutput == nil) {
			t.Errorf("%s: record %s has both or neither of answer and error", name, l.RecordID)
		}
	}
	n := int64(len(lines))
	if int64(len(ids)) != n || *got.ProcessedRecordCount != n || *got.ErrorRecordCount != failed || *got.SuccessRecordCount != n-failed {
		t.Errorf("%s (%s): %d lines, %d records, counts %d %d %d", name, got.Status, n, len(ids), *got.ProcessedRecordCount, *got.SuccessRecordCount, *got.ErrorRecordCount)
	}
	switch got.Status {
	case types.ModelInvocationJobStatusCompleted:
		if n != 100 || manifest["processedRecordCount"] != 100 {
			t.Errorf("%s: Completed with %d lines and the manifest %v", name, n, manifest)
		}
	case types.ModelInvocationJobStatusPartiallyCompleted:
		if n >= 100 {
			t.Errorf("%s: PartiallyCompleted with all lines", name)
		}
	case types.ModelInvocationJobStatusExpired, types.ModelInvocationJobStatusFailed:
		if n != 0 || manifest != nil {
			t.Errorf("%s: %s with output", name, got.Status)
		}
	}
}

func TestEventsHaveTheShapeOfTheRealOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for i := range 8 {
			w.create(fmt.Sprintf("job-%d", i), records(100))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		odd, all := 0, w.bus.all()
		for _, e := range all {
			if e.Source != "aws.bedrock" || e.DetailType != "Batch Inference Job State Change" || !slices.Equal(e.Resources, []string{e.Detail.BatchJobArn}) {
				t.Errorf("event %+v", e)
			}
			if _, err := time.Parse("Jan 2, 2006, 3:04:05 PM", e.Detail.CreationTime); err != nil {
				t.Error(err)
			}
			if _, err := time.Parse(time.RFC3339, e.Time); err != nil {
				odd++
			}
		}
		if odd == 0 || odd == len(all) {
			t.Errorf("%d of %d times in the odd form, want some", odd, len(all))
		}
	})
}
