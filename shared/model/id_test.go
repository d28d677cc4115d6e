package model_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

func TestIdentifiersSayWhatTheyName(t *testing.T) {
	for _, c := range []struct {
		id                  string
		resource            model.Resource
		geography, provider string
		base                string
		family              model.Family
		key                 string
	}{
		{"amazon.nova-lite-v1:0", model.FoundationModel, "", "amazon", "amazon.nova-lite-v1:0", model.Nova, "amazon.nova-lite-v1:0"},
		{" us.amazon.nova-lite-v1:0\n", model.InferenceProfile, "us", "amazon", "amazon.nova-lite-v1:0", model.Nova, "amazon.nova-lite-v1:0"},
		{"amazon.nova-lite-v1:0:24k", model.FoundationModel, "", "amazon", "amazon.nova-lite-v1:0:24k", model.Nova, "amazon.nova-lite-v1:0"},
		{"us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", model.InferenceProfile, "us-gov", "anthropic", "anthropic.claude-sonnet-4-5-20250929-v1:0", model.Anthropic, "anthropic.claude-sonnet-4-5-20250929-v1:0"},
		{"mars.anthropic.claude-haiku-5-5", model.InferenceProfile, "mars", "anthropic", "anthropic.claude-haiku-5-5", model.Anthropic, "anthropic.claude-haiku-5-5"},
		{"deepseek.v3.2", model.FoundationModel, "", "deepseek", "deepseek.v3.2", model.OpenAI, "deepseek.v3.2"},
		{"eu.deepseek.v3.2", model.InferenceProfile, "eu", "deepseek", "deepseek.v3.2", model.OpenAI, "deepseek.v3.2"},
		{"newprovider.model-v1", model.FoundationModel, "", "newprovider", "newprovider.model-v1", "", "newprovider.model-v1"},
		{"eu.newprovider.model-v1", model.InferenceProfile, "eu", "newprovider", "newprovider.model-v1", "", "newprovider.model-v1"},
		{"arn:aws:bedrock:us-east-1:123456789012:inference-profile/mars.newprovider.model-v1", model.InferenceProfile, "mars", "newprovider", "newprovider.model-v1", "", "newprovider.model-v1"},
		{"arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", model.FoundationModel, "", "anthropic", "anthropic.claude-3-haiku-20240307-v1:0", model.Anthropic, "anthropic.claude-3-haiku-20240307-v1:0"},
		{"arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us-gov.amazon.titan-embed-text-v2:0", model.InferenceProfile, "us-gov", "amazon", "amazon.titan-embed-text-v2:0", model.TitanEmbed, "amazon.titan-embed-text-v2:0"},
		{"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6", model.ApplicationProfile, "", "", "", "", "a1b2c3d4e5f6"},
		{"a1b2c3d4e5f6", model.ApplicationProfile, "", "", "", "", "a1b2c3d4e5f6"},
		{"arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.titan-embed-text-v2:0/abcdefghijkl", model.CustomModel, "", "amazon", "amazon.titan-embed-text-v2:0", model.TitanEmbed, "custom/amazon.titan-embed-text-v2:0"},
		{"amazon.nova-2-multimodal-embeddings-v1:0", model.FoundationModel, "", "amazon", "amazon.nova-2-multimodal-embeddings-v1:0", model.TitanEmbed, "amazon.nova-2-multimodal-embeddings-v1:0"},
		{"amazon.titan-tg1-large", model.FoundationModel, "", "amazon", "amazon.titan-tg1-large", model.TitanText, "amazon.titan-tg1-large"},
		{"mistral.mistral-large-2402-v1:0", model.FoundationModel, "", "mistral", "mistral.mistral-large-2402-v1:0", model.Mistral, "mistral.mistral-large-2402-v1:0"},
		{"mistral.mistral-large-2407-v1:0", model.FoundationModel, "", "mistral", "mistral.mistral-large-2407-v1:0", model.OpenAI, "mistral.mistral-large-2407-v1:0"},
		{"meta.llama3-1-8b-instruct-v1:0", model.FoundationModel, "", "meta", "meta.llama3-1-8b-instruct-v1:0", model.Llama, "meta.llama3-1-8b-instruct-v1:0"},
		{"cohere.command-r-v1:0", model.FoundationModel, "", "cohere", "cohere.command-r-v1:0", model.CohereCommand, "cohere.command-r-v1:0"},
		{"cohere.embed-v4:0", model.FoundationModel, "", "cohere", "cohere.embed-v4:0", model.CohereEmbed, "cohere.embed-v4:0"},
		{"openai.gpt-oss-20b-1:0", model.FoundationModel, "", "openai", "openai.gpt-oss-20b-1:0", model.OpenAI, "openai.gpt-oss-20b-1:0"},
	} {
		t.Run(strings.TrimSpace(c.id), func(t *testing.T) {
			id, err := model.Parse(c.id)
			if err != nil {
				t.Fatal(err)
			}
			if id.Raw != strings.TrimSpace(c.id) || id.Resource != c.resource || id.Geography != c.geography || id.Provider != c.provider || id.Base != c.base || id.Family != c.family {
				t.Errorf("%+v", id)
			}
			if id.QuotaKey() != c.key {
				t.Errorf("quota key %s, want %s", id.QuotaKey(), c.key)
			}
		})
	}
}

func TestIdentifiersThatBatchJobsDoNotTakeAreRefusedWithAReason(t *testing.T) {
	for _, c := range []struct{ id, because string }{
		{"", "empty"},
		{"  ", "empty"},
		{"amazon.nova lite", "only letters"},
		{"inference-profile/us.amazon.nova-lite-v1:0", "slash"},
		{"arn:aws:s3:::bucket", "an ARN reads"},
		{"arn:aws:bedrock:us-east-1", "an ARN reads"},
		{"arn:aws:bedrock:us-east-1::foundation-model", "names nothing"},
		{"arn:aws:bedrock:::foundation-model/amazon.nova-lite-v1:0", "no region"},
		{"arn:aws:bedrock:us-east-1:me:inference-profile/us.amazon.nova-lite-v1:0", "12 digits"},
		{"arn:aws:bedrock:us-east-1::foundation-model/nova", "provider.model"},
		{"arn:aws:bedrock:us-east-1:123456789012:imported-model/abc", "imported-model"},
		{"arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc", "provisioned-model"},
		{"arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abc", "custom-model-deployment"},
		{"arn:aws:bedrock:us-east-1:123456789012:prompt-router/abc", "prompt-router"},
		{"arn:aws:bedrock:us-east-1:123456789012:guardrail/abc", "no kind of model"},
		{strings.Repeat("a", 3000), "longer"},
	} {
		_, err := model.Parse(c.id)
		if !errors.Is(err, batch.ErrInvalid) || !strings.Contains(err.Error(), c.because) {
			t.Errorf("%.40q: %v", c.id, err)
		}
	}
}

func TestNoModelBelongsToTwoFamilies(t *testing.T) {
	// familyOf takes any that owns the id, so there must be one at most. The
	// same id many times meets every order of asking.
	for _, id := range []string{"amazon.nova-pro-v1:0", "amazon.nova-2-multimodal-embeddings-v1:0", "mistral.mistral-7b-instruct-v0:2", "mistral.pixtral-large-2502-v1:0", "cohere.embed-v4:0", "amazon.titan-embed-image-v1"} {
		families := map[model.Family]bool{}
		for range 200 {
			parsed, err := model.Parse(id)
			if err != nil {
				t.Fatal(err)
			}
			families[parsed.Family] = true
		}
		if len(families) != 1 || families[""] {
			t.Errorf("%s: %v", id, families)
		}
	}
}
