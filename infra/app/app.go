// Package app starts a CDK app with the context of cdk.json, whether the CDK
// command line runs it or not: an app that is run directly does not read that
// file, and its feature flags shape the template.
package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/infra/stack"
)

// File is where the CDK command line looks for the app and its context.
const File = "cdk.json"

// GoldenStage is the stage whose template stands in infra/template.
const GoldenStage = "dev"

// Context reads the context of root's cdk.json, together with what the command
// line makes of the file's own settings.
func Context(root string) (map[string]any, error) {
	file := filepath.Join(root, File)
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the app's context: %w", err)
	}
	var parsed struct {
		Context          map[string]any `json:"context"`
		AssetMetadata    bool           `json:"assetMetadata"`
		PathMetadata     bool           `json:"pathMetadata"`
		VersionReporting bool           `json:"versionReporting"`
	}
	if err := json.Unmarshal(data, &parsed); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for key, on := range map[string]bool{
		"aws:cdk:enable-asset-metadata": parsed.AssetMetadata,
		"aws:cdk:enable-path-metadata":  parsed.PathMetadata,
		"aws:cdk:version-reporting":     parsed.VersionReporting,
	} {
		if on {
			parsed.Context[key] = true
		}
	}
	return parsed.Context, nil
}

// New makes an app that writes into out. What the command line gives as
// context (-c key=value) wins over the file.
func New(root, out string, more map[string]any) (awscdk.App, error) {
	context, err := Context(root)
	if err != nil {
		return nil, err
	}
	for k, v := range more {
		context[k] = v
	}
	return awscdk.NewApp(&awscdk.AppProps{
		Context:            &context,
		Outdir:             jsii.String(out),
		AnalyticsReporting: jsii.Bool(false),
	}), nil
}

// Binaries reports all functions whose binary is missing from dist or would
// not start: CDK would stop at the first with a trace of its own, or deploy
// what cannot run.
func Binaries(dist string) error {
	var errs []error
	for _, name := range stack.Functions() {
		file := filepath.Join(dist, name, "bootstrap")
		info, err := os.Stat(file)
		switch {
		case errors.Is(err, os.ErrNotExist):
			errs = append(errs, fmt.Errorf("%s is not there: run make build", file))
		case err != nil:
			errs = append(errs, err)
		case info.Mode()&0o111 != 0o111:
			errs = append(errs, fmt.Errorf("%s may not be executed (mode %v): run make build", file, info.Mode().Perm()))
		}
	}
	return errors.Join(errs...)
}
