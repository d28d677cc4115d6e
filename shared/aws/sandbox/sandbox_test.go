package sandbox

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// lambda gives the test the environment of a function, and nothing of the
// machine's.
func lambda(t *testing.T, more map[string]string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // puts it back afterwards
			os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_DEFAULT_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_SESSION_TOKEN", "token")
	for name, value := range more {
		t.Setenv(name, value)
	}
}

// The SDK's own loader is the judge, of the configuration and of what the
// clients make of it.
func TestAsTheSDKLoadsIt(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"on Lambda":            nil,
		"local services":       {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
		"one service":          {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:2"},
		"both":                 {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:3"},
		"FIPS":                 {"AWS_USE_FIPS_ENDPOINT": "true"},
		"FIPS, not dual stack": {"AWS_USE_FIPS_ENDPOINT": "TRUE", "AWS_USE_DUALSTACK_ENDPOINT": "false"},
		"dual stack":           {"AWS_USE_DUALSTACK_ENDPOINT": "true", "AWS_USE_FIPS_ENDPOINT": "False"},
		"retries":              {"AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "adaptive"},
	} {
		t.Run(name, func(t *testing.T) {
			lambda(t, env)
			want, err := config.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := Load()
			if err != nil {
				t.Fatal(err)
			}
			a, b := reflect.ValueOf(got), reflect.ValueOf(want)
			for i := range a.NumField() {
				switch field := a.Type().Field(i).Name; field {
				case "Credentials", "ConfigSources": // below
				case "Interceptors": // empty lists are no lists
				case "Logger":
					if reflect.TypeOf(got.Logger) != reflect.TypeOf(want.Logger) {
						t.Errorf("logger %T, the SDK has %T", got.Logger, want.Logger)
					}
				default:
					if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
						t.Errorf("%s: %v, the SDK has %v", field, a.Field(i), b.Field(i))
					}
				}
			}
			mine, err := got.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := want.Credentials.Retrieve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			mine.Source, theirs.Source = "", ""
			if mine != theirs {
				t.Errorf("keys %v, the SDK has %v", mine, theirs)
			}
			for i, have := range located(got) {
				if should := located(want)[i]; !reflect.DeepEqual(have, should) {
					t.Errorf("a client is at %+v, by the SDK at %+v", have, should)
				}
			}
		})
	}
}

type place struct {
	endpoint  string
	fips      aws.FIPSEndpointState
	dualStack aws.DualStackEndpointState
	mode      aws.RetryMode
	attempts  int
}

// located is where the clients of a configuration go, and how often.
func located(cfg aws.Config) []place {
	a, b, c := s3.NewFromConfig(cfg).Options(), sqs.NewFromConfig(cfg).Options(), sns.NewFromConfig(cfg).Options()
	d, e := bedrock.NewFromConfig(cfg).Options(), bedrockruntime.NewFromConfig(cfg).Options()
	return []place{
		{aws.ToString(a.BaseEndpoint), a.EndpointOptions.UseFIPSEndpoint, a.EndpointOptions.UseDualStackEndpoint, a.RetryMode, a.Retryer.MaxAttempts()},
		{aws.ToString(b.BaseEndpoint), b.EndpointOptions.UseFIPSEndpoint, b.EndpointOptions.UseDualStackEndpoint, b.RetryMode, b.Retryer.MaxAttempts()},
		{aws.ToString(c.BaseEndpoint), c.EndpointOptions.UseFIPSEndpoint, c.EndpointOptions.UseDualStackEndpoint, c.RetryMode, c.Retryer.MaxAttempts()},
		{aws.ToString(d.BaseEndpoint), d.EndpointOptions.UseFIPSEndpoint, d.EndpointOptions.UseDualStackEndpoint, d.RetryMode, d.Retryer.MaxAttempts()},
		{aws.ToString(e.BaseEndpoint), e.EndpointOptions.UseFIPSEndpoint, e.EndpointOptions.UseDualStackEndpoint, e.RetryMode, e.Retryer.MaxAttempts()},
	}
}

func TestWhatIsMissingOrWrongIsNamed(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_REGION": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
		"AWS_MAX_ATTEMPTS": "many", "AWS_RETRY_MODE": "stubborn", "AWS_USE_FIPS_ENDPOINT": "perhaps", "AWS_USE_DUALSTACK_ENDPOINT": "1",
	} {
		lambda(t, map[string]string{name: value})
		if _, err := Load(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%q: error %v", name, value, err)
		}
	}
}
