// Package sandbox reads the SDK's configuration from the environment that
// Lambda gives a function. The SDK's own loader brings the clients of three
// sign-in services and of STS, and looks for profiles, files and instance
// roles, none of which a function has: they are a tenth of its binary and as
// much of its cold start. Programs that people sit in front of use
// shared/aws/settings.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/logging"
)

// Load reads the Region, the keys of the function's role, endpoints
// (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 and so on, AWS_USE_FIPS_ENDPOINT,
// AWS_USE_DUALSTACK_ENDPOINT) and retries (AWS_MAX_ATTEMPTS, AWS_RETRY_MODE).
// What is not set is as the SDK's loader would have it.
func Load() (aws.Config, error) {
	cfg := aws.Config{
		Region:                      os.Getenv("AWS_REGION"),
		Logger:                      logging.NewStandardLogger(os.Stderr),
		DefaultsMode:                aws.DefaultsModeLegacy,
		RequestMinCompressSizeBytes: 10240,
		AccountIDEndpointMode:       aws.AccountIDEndpointModePreferred,
		RequestChecksumCalculation:  aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation:  aws.ResponseChecksumValidationWhenSupported,
		RestrictFilePermissions:     aws.RestrictFilePermissionsUserReadWrite,
	}
	if cfg.Region == "" {
		return aws.Config{}, errors.New("AWS_REGION is not set")
	}
	keys := role{
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: os.Getenv("AWS_SESSION_TOKEN"), Source: "environment",
	}
	if !aws.Credentials(keys).HasKeys() {
		return aws.Config{}, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
	}
	cfg.Credentials = keys
	if url := os.Getenv("AWS_ENDPOINT_URL"); url != "" {
		cfg.BaseEndpoint = &url
	}
	var err error
	if text := os.Getenv("AWS_MAX_ATTEMPTS"); text != "" {
		if cfg.RetryMaxAttempts, err = strconv.Atoi(text); err != nil {
			return aws.Config{}, fmt.Errorf("AWS_MAX_ATTEMPTS: %w", err)
		}
	}
	if text := os.Getenv("AWS_RETRY_MODE"); text != "" {
		if cfg.RetryMode, err = aws.ParseRetryMode(text); err != nil {
			return aws.Config{}, fmt.Errorf("AWS_RETRY_MODE: %w", err)
		}
	}
	var e endpoints
	if e.fips, err = flag("AWS_USE_FIPS_ENDPOINT"); err != nil {
		return aws.Config{}, err
	}
	if e.dualStack, err = flag("AWS_USE_DUALSTACK_ENDPOINT"); err != nil {
		return aws.Config{}, err
	}
	cfg.ConfigSources = []any{e}
	return cfg, nil
}

// flag reads true or false; nil is unset.
func flag(name string) (*bool, error) {
	text := os.Getenv(name)
	if text == "" {
		return nil, nil
	}
	v := strings.EqualFold(text, "true")
	if !v && !strings.EqualFold(text, "false") {
		return nil, fmt.Errorf("%s is %q, must be true or false", name, text)
	}
	return &v, nil
}

// role are the keys of the function's role. Lambda sets them when the sandbox
// is made, and they outlive it.
type role aws.Credentials

// Retrieve implements aws.CredentialsProvider.
func (r role) Retrieve(context.Context) (aws.Credentials, error) { return aws.Credentials(r), nil }

// endpoints answers what each client asks about where its service is; the SDK
// finds the methods by their names.
type endpoints struct{ fips, dualStack *bool }

// GetServiceBaseEndpoint is the endpoint of one service.
func (endpoints) GetServiceBaseEndpoint(_ context.Context, service string) (url string, found bool, err error) {
	url = os.Getenv("AWS_ENDPOINT_URL_" + strings.ReplaceAll(strings.ToUpper(service), " ", "_"))
	return url, url != "", nil
}

// GetUseFIPSEndpoint says whether endpoints are those of FIPS 140.
func (e endpoints) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	switch {
	case e.fips == nil:
		return aws.FIPSEndpointStateUnset, false, nil
	case *e.fips:
		return aws.FIPSEndpointStateEnabled, true, nil
	}
	return aws.FIPSEndpointStateDisabled, true, nil
}

// GetUseDualStackEndpoint says whether endpoints have IPv6 as well.
func (e endpoints) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	switch {
	case e.dualStack == nil:
		return aws.DualStackEndpointStateUnset, false, nil
	case *e.dualStack:
		return aws.DualStackEndpointStateEnabled, true, nil
	}
	return aws.DualStackEndpointStateDisabled, true, nil
}
