// Submit is the function behind the uploads queue: it turns uploads into parts
// and jobs.
package main

import (
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrockruntime"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/functions"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler"
)

func main() {
	log := handler.NewLog(os.Getenv(config.EnvLogLevel))
	env, err := config.Read(config.SubmitEnv)
	if err != nil {
		log.Error("read settings", "error", err)
		os.Exit(1)
	}
	clients, err := functions.Open(env, handler.Observer{Log: log, Metrics: handler.NewMetrics(env, os.Stdout, time.Now)})
	if err != nil {
		log.Error("open clients", "error", err)
		os.Exit(1)
	}
	lambda.Start(functions.Frugal(handler.NewSubmit(clients.Submit(bedrockruntime.New(clients.AWS)), env.InputBucket, clients.Uploads, log, time.Now).Handle))
}
