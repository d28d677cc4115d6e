package answer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Two attempts of one part: a row that failed for a passing reason is answered
// the second time, one that failed for good is given back.
func Example() {
	ctx := context.Background()
	attempt := func(number int, index, output string) answer.Attempt {
		var results, failed bytes.Buffer
		_, err := answer.Order(ctx, answer.Job{
			Index:      text(index),
			Outputs:    outputs(output),
			Invocation: batch.Converse,
			Attempt:    number,
			Results:    &results,
			Failed:     &failed,
		})
		if err != nil {
			panic(err)
		}
		return answer.Attempt{Number: number, Results: &results, Failed: &failed}
	}
	first := attempt(1, "1\t0\t10\t\t\n2\t11\t10\t\t\n3\t22\t10\t\t\"c\"\n", failing(2, 400)+converse(1, "one")+failing(3, 503))
	second := attempt(2, "3\t22\t10\t\t\"c\"\n", converse(3, "three"))

	var failed bytes.Buffer
	merged, err := answer.Merge(ctx, answer.Merging{
		FirstRow: 1, LastRow: 3,
		Attempts: []answer.Attempt{first, second},
		Results:  os.Stdout, Failed: &failed,
	})
	if err != nil {
		panic(err)
	}
	fmt.Printf("answered %d, failed %d, missing %d\n", merged.Answered, merged.Failed, merged.Missing)

	_, err = answer.Errors(ctx, answer.Erring{
		Failed: &failed, Errors: os.Stdout,
		Origin: func(_ context.Context, f *answer.Failure) (answer.Origin, error) {
			return answer.Origin{Kind: answer.Object, Raw: []byte(strings.Repeat(" ", 3) + `{"prompt":"two"}`)}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// {"recordId":"r0000000001","row":1,"output":"one","stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2},"attempt":1}
	// {"recordId":"r0000000003","row":3,"id":"c","output":"three","stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2},"attempt":2}
	// answered 2, failed 1, missing 0
	// {"prompt":"two","_error":{"code":"400","message":"no","retryable":false,"attempts":1}}
}
