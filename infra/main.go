// Command infra is the CDK app. The CDK command line runs it through cdk.json;
// make synth runs it directly, which needs Node.js but no command line of CDK.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/infra/app"
	"github.com/bedrock-batch/bedrock-batch/infra/assembly"
	"github.com/bedrock-batch/bedrock-batch/infra/stack"
	"github.com/bedrock-batch/bedrock-batch/infra/stage"
)

func main() {
	stageName := flag.String("stage", "", "stage to synthesize (the CDK command line gives it as -c stage=)")
	dist := flag.String("dist", "dist", "folder of the function binaries")
	golden := flag.String("golden", "", "also write the template with the functions' names for their hashes into this file")
	flag.Parse()
	if err := run(*stageName, *dist, *golden); err != nil {
		fmt.Fprintln(os.Stderr, "infra:", err)
		os.Exit(1)
	}
}

func run(stageName, dist, golden string) error {
	defer jsii.Close()
	if err := app.Binaries(dist); err != nil {
		return err
	}
	more := map[string]any{}
	if stageName != "" {
		more["stage"] = stageName
	}
	// CDK_OUTDIR is how the CDK command line says where it will read.
	out := cmp.Or(os.Getenv("CDK_OUTDIR"), "cdk.out")
	a, err := app.New(".", out, more)
	if err != nil {
		return err
	}
	name, ok := a.Node().TryGetContext(jsii.String("stage")).(string)
	if !ok || name == "" {
		return fmt.Errorf("no stage: give one with -c stage=NAME, a file of infra/stages without its ending")
	}
	settings, err := stage.Load(filepath.Join("infra", "stages"), name)
	if err != nil {
		return err
	}
	if _, err := stack.New(a, stack.Props{Settings: settings, Dist: dist}); err != nil {
		return err
	}
	a.Synth(nil)
	if golden == "" {
		return nil
	}
	template, err := assembly.Golden(out, settings.Prefix())
	if err != nil {
		return err
	}
	if err := os.WriteFile(golden, template, 0o644); err != nil {
		return fmt.Errorf("write the golden template: %w", err)
	}
	return nil
}
