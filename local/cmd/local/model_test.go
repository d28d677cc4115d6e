package main

import (
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
)

func TestTheBuiltInModelAnswersAsItsRatesSay(t *testing.T) {
	cases := []struct {
		name string
		args []string
		want types.StopReason
	}{
		{"as usual", nil, types.StopReasonEndTurn},
		{"all cut off", []string{"--truncate", "1"}, types.StopReasonMaxTokens},
		{"all refused", []string{"--refuse", "1"}, types.StopReasonContentFiltered},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			env, _ := begin(t, append(c.args, "--services-only", "--port", "0", "--data", filepath.Join(t.TempDir(), "data"))...)
			out, err := bedrockruntime.NewFromConfig(config(env)).Converse(t.Context(), &bedrockruntime.ConverseInput{
				ModelId:  aws.String("us.amazon.nova-lite-v1:0"),
				Messages: []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: "say something"}}}},
			})
			if err != nil || out.StopReason != c.want {
				t.Fatalf("stop reason %v, want %s: %v", out, c.want, err)
			}
		})
	}
}
