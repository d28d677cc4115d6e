// Submit is the function behind the uploads queue: it turns uploads into parts
// and jobs.
package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler"
)

func main() {
	bedrockbatch.Frugal()
	log := handler.NewLog(os.Getenv(config.EnvLogLevel))
	env, err := config.Read(config.SubmitEnv)
	if err != nil {
		log.Error("read settings", "error", err)
		os.Exit(1)
	}
	clients, err := bedrockbatch.Open(context.Background(), env, handler.Observer{Log: log, Metrics: handler.NewMetrics(env, os.Stdout, time.Now)})
	if err != nil {
		log.Error("open clients", "error", err)
		os.Exit(1)
	}
	lambda.Start(handler.NewSubmit(clients.Submit(), env.InputBucket, clients.Uploads, log, time.Now).Handle)
}
