package bedrock_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	runtime "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/local/bedrock"
)

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func input(uri string) types.ModelInvocationJobInputDataConfig {
	return &types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig{Value: types.ModelInvocationJobS3InputDataConfig{S3Uri: &uri}}
}

func TestCreateRefusesByTheServicesErrorType(t *testing.T) {
	type in = sdk.CreateModelInvocationJobInput
	tests := []struct {
		name    string
		change  func(*in)
		deny    map[string]string
		code    string
		message string
	}{
		{"a name with an underscore", func(q *in) { q.JobName = aws.String("a_b") }, nil, "ValidationException", "'jobName' failed to satisfy constraint"},
		{"a name with a leading hyphen", func(q *in) { q.JobName = aws.String("-a") }, nil, "ValidationException", "jobName"},
		{"a name of 64 characters", func(q *in) { q.JobName = aws.String(strings.Repeat("a", 64)) }, nil, "ValidationException", "length less than or equal to 63"},
		{"an empty name", func(q *in) { q.JobName = aws.String("") }, nil, "ValidationException", "jobName"},
		{"a token with a trailing hyphen", func(q *in) { q.ClientRequestToken = aws.String("a-") }, nil, "ValidationException", "clientRequestToken"},
		{"a token with a dot", func(q *in) { q.ClientRequestToken = aws.String("a.b") }, nil, "ValidationException", "clientRequestToken"},
		{"a role that is no role", func(q *in) { q.RoleArn = aws.String("arn:aws:iam::123456789012:user/x") }, nil, "ValidationException", "roleArn"},
		{"an imported model", func(q *in) { q.ModelId = aws.String("arn:aws:bedrock:us-east-1:123456789012:imported-model/abc") }, nil, "ValidationException", "modelId"},
		{"a provisioned model", func(q *in) {
			q.ModelId = aws.String("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc")
		}, nil, "ValidationException", "modelId"},
		{"an unknown model", func(q *in) { q.ModelId = aws.String("amazon.nova-huge-v1:0") }, nil, "ValidationException", "The provided model identifier is invalid"},
		{"a model that needs a profile", func(q *in) { q.ModelId = aws.String(strings.TrimPrefix(haiku, "us.")) }, nil, "ValidationException", "inference profile that contains this model"},
		{"a model without batch", func(q *in) { q.ModelId = aws.String("cohere.command-r-v1:0") }, nil, "ValidationException", "does not support batch inference"},
		{"Converse with embeddings", func(q *in) { q.ModelId = aws.String("amazon.titan-embed-text-v2:0") }, nil, "ValidationException", "does not support the model invocation type Converse"},
		{"an application profile", func(q *in) {
			q.ModelId = aws.String("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123")
		}, nil, "ResourceNotFoundException", "could not be found"},
		{"a model of another account", func(q *in) {
			q.ModelId = aws.String("arn:aws:bedrock:us-east-1:999999999999:inference-profile/" + nova)
		}, nil, "AccessDeniedException", "access to the model"},
		{"a key with a space", func(q *in) { q.InputDataConfig = input("s3://bucket/a b.jsonl") }, nil, "ValidationException", "s3Uri"},
		{"a key with an equals sign", func(q *in) { q.InputDataConfig = input("s3://bucket/a=1/b.jsonl") }, nil, "ValidationException", "s3Uri"},
		{"a key with an empty segment", func(q *in) { q.InputDataConfig = input("s3://bucket/a//b.jsonl") }, nil, "ValidationException", "s3Uri"},
		{"a key with an accent", func(q *in) { q.InputDataConfig = input("s3://bucket/é.jsonl") }, nil, "ValidationException", "s3Uri"},
		{"23 hours", func(q *in) { q.TimeoutDurationInHours = aws.Int32(23) }, nil, "ValidationException", "greater than or equal to 24"},
		{"169 hours", func(q *in) { q.TimeoutDurationInHours = aws.Int32(169) }, nil, "ValidationException", "less than or equal to 168"},
		{"an unknown invocation type", func(q *in) { q.ModelInvocationType = "Chat" }, nil, "ValidationException", "[InvokeModel, Converse]"},
		{"a tag with a hash", func(q *in) { q.Tags = []types.Tag{{Key: aws.String("a#"), Value: aws.String("")}} }, nil, "ValidationException", "tags.1.member.key"},
		{"two mistakes at once", func(q *in) { q.JobName, q.TimeoutDurationInHours = aws.String("a_b"), aws.Int32(1) }, nil, "ValidationException", "2 validation errors detected"},
		{"no right on the job", nil, map[string]string{"bedrock:CreateModelInvocationJob": ":model-invocation-job/"}, "AccessDeniedException", "is not authorized to perform: bedrock:CreateModelInvocationJob on resource: arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/"},
		{"no right on the profile", nil, map[string]string{"bedrock:CreateModelInvocationJob": ":inference-profile/"}, "AccessDeniedException", "inference-profile/" + nova},
		{"no right on a model behind the profile", nil, map[string]string{"bedrock:CreateModelInvocationJob": "us-west-2::foundation-model/"}, "AccessDeniedException", "us-west-2::foundation-model/"},
		{"no right to pass the role", nil, map[string]string{"iam:PassRole": role}, "AccessDeniedException", "iam:PassRole on resource: " + role},
		{"no right to tag", func(q *in) { q.Tags = []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}} }, map[string]string{"bedrock:TagResource": ""}, "AccessDeniedException", "bedrock:TagResource"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.authority.deny = test.deny
			q := spec("job")
			if test.change != nil {
				test.change(q)
			}
			_, err := w.api.CreateModelInvocationJob(t.Context(), q)
			if code(err) != test.code || !strings.Contains(fmt.Sprint(err), test.message) {
				t.Errorf("got %v, want %s with %q", err, test.code, test.message)
			}
		})
	}
}

func TestPassingTheRoleIsAskedForWithTheServiceItGoesTo(t *testing.T) {
	w := newWorld(t, nil)
	w.create("job", records(100))
	for _, call := range w.authority.asked {
		if call.Action == "iam:PassRole" && call.Resource == role && slices.Equal(call.Context["iam:PassedToService"], []string{"bedrock.amazonaws.com"}) {
			return
		}
	}
	t.Errorf("calls %+v", w.authority.asked)
}

func TestARepeatedTokenIsTheSameJobAndAUsedNameIsAClash(t *testing.T) {
	w := newWorld(t, nil)
	first := w.create("one", records(100))
	if again := w.create("one", records(100)); again != first {
		t.Errorf("the repeat made %s, not %s", again, first)
	}
	other := spec("one")
	other.TimeoutDurationInHours = aws.Int32(48)
	if _, err := w.api.CreateModelInvocationJob(t.Context(), other); code(err) != "ConflictException" {
		t.Errorf("the token with other parameters: %v", err)
	}
	seen := map[string]bool{}
	for i := range 12 {
		name := fmt.Sprintf("clash-%d", i)
		w.create(name, records(100))
		q := spec(name)
		q.ClientRequestToken = aws.String("another")
		_, err := w.api.CreateModelInvocationJob(t.Context(), q)
		if !strings.Contains(fmt.Sprint(err), "currently in use") {
			t.Errorf("clash: %v", err)
		}
		seen[code(err)] = true
	}
	if !seen["ConflictException"] || !seen["ValidationException"] || len(seen) != 2 {
		t.Errorf("clashes came as %v, want both kinds", seen)
	}
}

func TestAFullQuotaIsRefusedAndFreedByAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *bedrock.Config) { c.Slots = 3 })
		for i := range 3 {
			w.create(fmt.Sprintf("job-%d", i), records(100))
			time.Sleep(500 * time.Millisecond) // they stand in different states
		}
		q := spec("more")
		q.ModelId = aws.String("amazon.nova-lite-v1:0") // the profile's base model: the same slots
		_, err := w.api.CreateModelInvocationJob(t.Context(), q)
		var quota *types.ServiceQuotaExceededException
		if !errors.As(err, &quota) {
			t.Fatalf("got %v", err)
		}
		other := spec("other")
		other.ModelId = aws.String(haiku)
		if _, err := w.api.CreateModelInvocationJob(t.Context(), other); err != nil {
			t.Errorf("another model: %v", err)
		}
		time.Sleep(4 * time.Second)
		if _, err := w.api.CreateModelInvocationJob(t.Context(), q); err != nil {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestThrottlingMeetsAShareOfAllCalls(t *testing.T) {
	w := newWorld(t, func(c *bedrock.Config) { c.Throttle = 0.3 })
	met := 0
	for range 200 {
		_, err := w.api.ListModelInvocationJobs(t.Context(), &sdk.ListModelInvocationJobsInput{})
		var throttled *types.ThrottlingException
		if errors.As(err, &throttled) {
			met++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if met < 30 || met > 90 {
		t.Errorf("%d of 200 calls throttled, want about 60", met)
	}
}

func TestUnknownJobsAndCallsAreRefusedByName(t *testing.T) {
	w := newWorld(t, nil)
	for id, want := range map[string]string{
		"abcdefghijkl": "ResourceNotFoundException", "short": "ValidationException",
		"arn:aws:bedrock:us-east-1:999999999999:model-invocation-job/abcdefghijkl": "ResourceNotFoundException",
	} {
		_, err := w.api.GetModelInvocationJob(t.Context(), &sdk.GetModelInvocationJobInput{JobIdentifier: &id})
		if code(err) != want {
			t.Errorf("get %s: %v, want %s", id, err, want)
		}
		_, err = w.api.StopModelInvocationJob(t.Context(), &sdk.StopModelInvocationJobInput{JobIdentifier: &id})
		if code(err) != want {
			t.Errorf("stop %s: %v, want %s", id, err, want)
		}
	}
	if _, err := w.api.ListGuardrails(t.Context(), &sdk.ListGuardrailsInput{}); code(err) != "UnknownOperationException" {
		t.Errorf("an operation that is not there: %v", err)
	}
}

func TestListFiltersSortsAndPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *bedrock.Config) { c.Slots = 100 })
		start := time.Now()
		for i := range 25 {
			w.create(fmt.Sprintf("red-%02d", i), records(100))
			time.Sleep(time.Second)
		}
		w.create("blue-00", records(100))
		names := func(q *sdk.ListModelInvocationJobsInput) []string {
			var all []string
			pages := sdk.NewListModelInvocationJobsPaginator(w.api, q)
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, j := range page.InvocationJobSummaries {
					all = append(all, *j.JobName)
				}
			}
			return all
		}
		type in = sdk.ListModelInvocationJobsInput
		if got := names(&in{MaxResults: aws.Int32(4), SortOrder: types.SortOrderAscending}); len(got) != 26 || got[0] != "red-00" || got[25] != "blue-00" {
			t.Errorf("ascending in pages: %v", got)
		}
		if got := names(&in{}); len(got) != 26 || got[0] != "blue-00" {
			t.Errorf("by default the newest first: %v", got)
		}
		if got := names(&in{NameContains: aws.String("d-0")}); len(got) != 10 {
			t.Errorf("a name that contains: %v", got)
		}
		if got := names(&in{StatusEquals: types.ModelInvocationJobStatusSubmitted}); !slices.Equal(got, []string{"blue-00"}) {
			t.Errorf("by status: %v", got)
		}
		after, before := start.Add(9500*time.Millisecond), start.Add(12500*time.Millisecond)
		if got := names(&in{SubmitTimeAfter: &after, SubmitTimeBefore: &before}); !slices.Equal(got, []string{"red-12", "red-11", "red-10"}) {
			t.Errorf("by time: %v", got)
		}
		for name, q := range map[string]*in{
			"too many results": {MaxResults: aws.Int32(1001)}, "a broken token": {NextToken: aws.String("?")},
			"an unknown status": {StatusEquals: "Done"}, "a bad name": {NameContains: aws.String("a_b")},
		} {
			if _, err := w.api.ListModelInvocationJobs(t.Context(), q); code(err) != "ValidationException" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestTagsAreKept(t *testing.T) {
	w := newWorld(t, nil)
	q := spec("tagged")
	q.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}
	out, err := w.api.CreateModelInvocationJob(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.api.TagResource(t.Context(), &sdk.TagResourceInput{ResourceARN: out.JobArn, Tags: []types.Tag{{Key: aws.String("cost"), Value: aws.String("7")}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.api.UntagResource(t.Context(), &sdk.UntagResourceInput{ResourceARN: out.JobArn, TagKeys: []string{"team"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := w.api.ListTagsForResource(t.Context(), &sdk.ListTagsForResourceInput{ResourceARN: out.JobArn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "cost" {
		t.Errorf("tags %v, %v", tags, err)
	}
}

func TestModelsAndProfilesAreListed(t *testing.T) {
	w := newWorld(t, nil)
	models, err := w.api.ListFoundationModels(t.Context(), &sdk.ListFoundationModelsInput{ByProvider: aws.String("amazon"), ByOutputModality: types.ModelModalityEmbedding})
	if err != nil || len(models.ModelSummaries) != 4 {
		t.Errorf("Amazon's embeddings: %v, %v", models, err)
	}
	one, err := w.api.GetFoundationModel(t.Context(), &sdk.GetFoundationModelInput{ModelIdentifier: aws.String("amazon.nova-lite-v1:0")})
	if err != nil || *one.ModelDetails.ModelName != "Nova Lite" {
		t.Errorf("Nova Lite: %v, %v", one, err)
	}
	may, err := w.api.GetFoundationModelAvailability(t.Context(), &sdk.GetFoundationModelAvailabilityInput{ModelId: aws.String("amazon.nova-lite-v1:0")})
	if err != nil || may.AuthorizationStatus != types.AuthorizationStatusAuthorized || may.AgreementAvailability.Status != types.AgreementStatusAvailable {
		t.Errorf("access to Nova Lite: %v, %v", may, err)
	}
	profile, err := w.api.GetInferenceProfile(t.Context(), &sdk.GetInferenceProfileInput{InferenceProfileIdentifier: aws.String(haiku)})
	if err != nil || len(profile.Models) != 3 || profile.Type != types.InferenceProfileTypeSystemDefined {
		t.Errorf("the profile: %v, %v", profile, err)
	}
	count := 0
	pages := sdk.NewListInferenceProfilesPaginator(w.api, &sdk.ListInferenceProfilesInput{MaxResults: aws.Int32(10)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count += len(page.InferenceProfileSummaries)
	}
	if count < 40 {
		t.Errorf("%d profiles", count)
	}
}

func TestTheRuntimeAnswersOverTheWire(t *testing.T) {
	w := newWorld(t, nil)
	server := httptest.NewServer(w.service)
	defer server.Close()
	api := bedrockruntime.New(bedrockruntime.Options{Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""), Retryer: aws.NopRetryer{}})
	message := []runtime.Message{{Role: runtime.ConversationRoleUser, Content: []runtime.ContentBlock{&runtime.ContentBlockMemberText{Value: "A sturdy, quiet kettle. I love it."}}}}
	out, err := api.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: message})
	if err != nil {
		t.Fatal(err)
	}
	answer := out.Output.(*runtime.ConverseOutputMemberMessage).Value.Content[0].(*runtime.ContentBlockMemberText).Value
	if !strings.Contains(answer, "positive") || out.StopReason != runtime.StopReasonEndTurn || *out.Usage.OutputTokens == 0 {
		t.Errorf("answer %q, stop %s", answer, out.StopReason)
	}
	arn := "arn:aws:bedrock:us-east-1:123456789012:inference-profile/" + haiku
	raw, err := api.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: &arn,
		Body: []byte(`{"anthropic_version":"bedrock-2023-05-31","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}`)})
	if err != nil || !strings.Contains(string(raw.Body), `"stop_reason":"end_turn"`) {
		t.Errorf("invoke: %v, %v", raw, err)
	}
	_, err = api.InvokeModel(t.Context(), &bedrockruntime.InvokeModelInput{ModelId: &arn, Body: []byte(`{}`)})
	var invalid *runtime.ValidationException
	if !errors.As(err, &invalid) || !strings.Contains(*invalid.Message, "max_tokens: Field required") {
		t.Errorf("an empty body: %v", err)
	}
	w.authority.deny = map[string]string{"bedrock:InvokeModel": "foundation-model"}
	_, err = api.Converse(t.Context(), &bedrockruntime.ConverseInput{ModelId: aws.String(nova), Messages: message})
	if code(err) != "AccessDeniedException" {
		t.Errorf("without the right on the model behind the profile: %v", err)
	}
}
