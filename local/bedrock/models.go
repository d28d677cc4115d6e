package bedrock

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock/model"
)

// target is what a model id stands for.
type target struct {
	base model.Model
	// arn is what the id names: a foundation model, a profile, a custom model.
	arn string
	// behind are the foundation models a profile leads to.
	behind []string
	// invoke is what a job's role needs bedrock:InvokeModel on; a plain
	// foundation model needs nothing.
	invoke   []string
	quotaKey string
	slots    int
}

// regions are where a profile's geography leads to, seen from us-east-1. The
// global one names the model without a region too.
var regions = map[string][]string{
	"us":     {"us-east-1", "us-east-2", "us-west-2"},
	"eu":     {"eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"},
	"apac":   {"ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2"},
	"jp":     {"ap-northeast-1", "ap-northeast-3"},
	"au":     {"ap-southeast-2", "ap-southeast-4"},
	"global": {"", "us-east-1"},
}

func foundationARN(region, id string) string {
	return "arn:aws:bedrock:" + region + "::foundation-model/" + id
}

func profileARN(id string) string {
	return "arn:aws:bedrock:" + access.Region + ":" + access.Account + ":inference-profile/" + id
}

// resolve finds what a model id or ARN stands for.
func (s *Service) resolve(id string) (target, error) {
	unknown := invalid("The provided model identifier is invalid: %s.", id)
	kind, name := "", id
	if strings.HasPrefix(id, "arn:") {
		parts := strings.SplitN(id, ":", 6)
		if len(parts) != 6 {
			return target{}, unknown
		}
		if kind, name, _ = strings.Cut(parts[5], "/"); parts[4] != "" && parts[4] != access.Account {
			return target{}, &access.APIError{Code: "AccessDeniedException", Status: http.StatusForbidden, Message: "You don't have access to the model with the specified model ID."}
		}
	}
	slots := 20
	if s.cfg.Slots > slots {
		slots = s.cfg.Slots
	}
	switch kind {
	case "custom-model":
		baseID, _, _ := strings.Cut(name, "/")
		for _, m := range model.Catalogue() {
			if m.ID == baseID || strings.HasPrefix(m.ID, baseID+":") || strings.HasPrefix(baseID, m.ID+":") {
				return target{base: m, arn: id, quotaKey: "custom/" + m.ID, slots: min(3, slots), invoke: []string{id}}, nil
			}
		}
		return target{}, absent("The custom model %s could not be found.", id)
	case "application-inference-profile":
		return target{}, absent("The inference profile %s could not be found.", id)
	case "inference-profile", "":
		if geography, m, ok := model.Profile(name); ok && regions[geography] != nil {
			t := target{base: m, arn: profileARN(name), quotaKey: m.ID, slots: slots}
			for _, region := range regions[geography] {
				t.behind = append(t.behind, foundationARN(region, m.ID))
			}
			t.invoke = append([]string{t.arn}, t.behind...)
			return t, nil
		}
		if kind != "" {
			return target{}, unknown
		}
	case "foundation-model":
	default:
		return target{}, unknown
	}
	m, ok := model.Lookup(name)
	if !ok {
		return target{}, unknown
	}
	if !m.OnDemand {
		return target{}, invalid("Invocation of model ID %s with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile that contains this model.", name)
	}
	return target{base: m, arn: foundationARN(access.Region, m.ID), quotaKey: m.ID, slots: slots}, nil
}

// modelSummary is a foundation model as the API shows it.
type modelSummary struct {
	ARN            string            `json:"modelArn"`
	ID             string            `json:"modelId"`
	Name           string            `json:"modelName"`
	Provider       string            `json:"providerName"`
	Inputs         []string          `json:"inputModalities"`
	Outputs        []string          `json:"outputModalities"`
	Streaming      bool              `json:"responseStreamingSupported"`
	Customizations []string          `json:"customizationsSupported"`
	Inference      []string          `json:"inferenceTypesSupported"`
	Lifecycle      map[string]string `json:"modelLifecycle"`
}

func summary(m model.Model) modelSummary {
	out := modelSummary{ARN: foundationARN(access.Region, m.ID), ID: m.ID, Name: m.Name, Provider: m.Provider,
		Inputs: []string{"TEXT"}, Outputs: []string{"TEXT"}, Streaming: !m.Embeds(), Customizations: []string{},
		Inference: []string{}, Lifecycle: map[string]string{"status": "ACTIVE"}}
	if m.Vision() {
		out.Inputs = append(out.Inputs, "IMAGE")
	}
	if m.Embeds() {
		out.Outputs = []string{"EMBEDDING"}
	}
	if m.OnDemand {
		out.Inference = append(out.Inference, "ON_DEMAND")
	}
	if len(m.Profiles) > 0 {
		out.Inference = append(out.Inference, "INFERENCE_PROFILE")
	}
	return out
}

func (s *Service) listModels(ctx context.Context, r *http.Request, _ string, _ []byte) (any, error) {
	query, err := parameters(r, "byProvider", "byOutputModality", "byInferenceType", "byCustomizationType")
	if err != nil {
		return nil, err
	}
	if err := s.allow(ctx, "bedrock:ListFoundationModels", "*", nil); err != nil {
		return nil, err
	}
	shown := []modelSummary{}
	for _, m := range model.Catalogue() {
		v := summary(m)
		fits := func(name string, values ...string) bool {
			want := query.Get(name)
			return want == "" || slices.ContainsFunc(values, func(have string) bool { return strings.EqualFold(have, want) })
		}
		if fits("byProvider", v.Provider) && fits("byOutputModality", v.Outputs...) &&
			fits("byInferenceType", v.Inference...) && fits("byCustomizationType", v.Customizations...) {
			shown = append(shown, v)
		}
	}
	return map[string]any{"modelSummaries": shown}, nil
}

func (s *Service) getModel(ctx context.Context, _ *http.Request, id string, _ []byte) (any, error) {
	name := id[strings.LastIndexByte(id, '/')+1:]
	if err := s.allow(ctx, "bedrock:GetFoundationModel", foundationARN(access.Region, name), nil); err != nil {
		return nil, err
	}
	m, ok := model.Lookup(name)
	if !ok {
		return nil, invalid("The provided model identifier is invalid.")
	}
	return map[string]any{"modelDetails": summary(m)}, nil
}

// modelAvailability says what an account may use: here all that there is.
func (s *Service) modelAvailability(ctx context.Context, _ *http.Request, id string, _ []byte) (any, error) {
	name := id[strings.LastIndexByte(id, '/')+1:]
	if err := s.allow(ctx, "bedrock:GetFoundationModelAvailability", "*", nil); err != nil {
		return nil, err
	}
	m, ok := model.Lookup(name)
	if !ok {
		return nil, invalid("The provided model identifier is invalid.")
	}
	return map[string]any{
		"modelId": m.ID, "agreementAvailability": map[string]string{"status": "AVAILABLE"}, "authorizationStatus": "AUTHORIZED",
		"entitlementAvailability": "AVAILABLE", "regionAvailability": "AVAILABLE",
	}, nil
}

// profile is an inference profile as the API shows it.
type profile struct {
	ARN         string              `json:"inferenceProfileArn"`
	ID          string              `json:"inferenceProfileId"`
	Name        string              `json:"inferenceProfileName"`
	Description string              `json:"description"`
	Models      []map[string]string `json:"models"`
	Status      string              `json:"status"`
	Type        string              `json:"type"`
	Created     string              `json:"createdAt"`
	Updated     string              `json:"updatedAt"`
}

func profileOf(geography string, m model.Model) profile {
	id := geography + "." + m.ID
	label := strings.ToUpper(geography)
	if geography == "global" {
		label = "Global"
	}
	p := profile{ARN: profileARN(id), ID: id, Name: label + " " + m.Provider + " " + m.Name,
		Description: "Routes requests to " + m.Name + " in " + strings.Join(slices.DeleteFunc(slices.Clone(regions[geography]), func(s string) bool { return s == "" }), ", ") + ".",
		Status:      "ACTIVE", Type: "SYSTEM_DEFINED", Created: "2025-01-01T00:00:00Z", Updated: "2025-01-01T00:00:00Z"}
	for _, region := range regions[geography] {
		p.Models = append(p.Models, map[string]string{"modelArn": foundationARN(region, m.ID)})
	}
	return p
}

func (s *Service) listProfiles(ctx context.Context, r *http.Request, _ string, _ []byte) (any, error) {
	query, err := parameters(r, "maxResults", "nextToken", "type")
	if err != nil {
		return nil, err
	}
	if err := s.allow(ctx, "bedrock:ListInferenceProfiles", "*", nil); err != nil {
		return nil, err
	}
	all := []profile{}
	if query.Get("type") != "APPLICATION" { // nobody makes application profiles here
		for _, m := range model.Catalogue() {
			for _, geography := range m.Profiles {
				all = append(all, profileOf(geography, m))
			}
		}
	}
	shown, next, err := page(query, all)
	if err != nil {
		return nil, err
	}
	return listing("inferenceProfileSummaries", shown, next), nil
}

func (s *Service) getProfile(ctx context.Context, _ *http.Request, id string, _ []byte) (any, error) {
	name := id[strings.LastIndexByte(id, '/')+1:]
	if err := s.allow(ctx, "bedrock:GetInferenceProfile", profileARN(name), nil); err != nil {
		return nil, err
	}
	geography, m, ok := model.Profile(name)
	if !ok {
		return nil, absent("The inference profile %s could not be found.", id)
	}
	return profileOf(geography, m), nil
}
