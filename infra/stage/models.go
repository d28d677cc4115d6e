package stage

import (
	"fmt"
	"slices"
	"strings"
)

// Resource is one ARN that a model needs in a policy. Members that are empty
// stand for the stack's own partition, region and account.
type Resource struct {
	// ARN is set where the stage gave a whole ARN.
	ARN string
	// AnyRegion: the model behind a profile runs in the regions of the
	// profile's geography, a list that the service extends.
	AnyRegion bool
	// Account: the resource belongs to the stack's account (profiles); else
	// to nobody (foundation models).
	Account bool
	// Path is the ARN's last part, as inference-profile/us.amazon.nova-lite-v1:0.
	Path string
	// Profile: the resource is an inference profile or the model behind one.
	// Bedrock asks the batch role for InvokeModel only for these.
	Profile bool
}

// providers are the first labels of base model ids. An id whose first label
// is none of them and whose second is one is an inference profile's: labels of
// geographies (us, eu, apac, global ...) are added more often than providers.
var providers = []string{
	"anthropic", "amazon", "meta", "mistral", "cohere", "deepseek", "qwen", "openai", "ai21", "google",
	"minimax", "moonshot", "moonshotai", "nvidia", "zai", "writer", "twelvelabs", "stability", "luma",
}

// Resources gives what the roles must be allowed to call for the models of
// the stage, in a stable order and without repetition.
func (s Settings) Resources() []Resource {
	var all []Resource
	add := func(r ...Resource) {
		for _, r := range r {
			if !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	for _, m := range s.Models {
		if strings.HasPrefix(m, "arn:") {
			add(arnResources(m)...)
			continue
		}
		first, rest, _ := strings.Cut(m, ".")
		second, _, _ := strings.Cut(rest, ".")
		switch {
		case !slices.Contains(providers, first) && slices.Contains(providers, second):
			add(Resource{Account: true, Path: "inference-profile/" + m, Profile: true},
				Resource{AnyRegion: true, Path: "foundation-model/" + rest, Profile: true})
		default:
			add(Resource{Path: "foundation-model/" + m})
		}
	}
	return all
}

func arnResources(arn string) []Resource {
	kind, id, _ := strings.Cut(arn[strings.LastIndex(arn, ":"+resourceKind(arn)+"/")+1:], "/")
	r := Resource{ARN: arn, Profile: strings.HasSuffix(kind, "inference-profile")}
	if kind == "inference-profile" {
		_, base, _ := strings.Cut(id, ".")
		return []Resource{r, {AnyRegion: true, Path: "foundation-model/" + base, Profile: true}}
	}
	return []Resource{r}
}

func resourceKind(arn string) string {
	kind, err := parseModelARN(arn)
	if err != nil {
		return ""
	}
	return kind
}

// parseModelARN checks that an ARN is of a kind that batch jobs accept and
// gives that kind.
func parseModelARN(arn string) (kind string, err error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[2] != "bedrock" {
		return "", fmt.Errorf("%q is not an ARN of a Bedrock model", arn)
	}
	kind, id, _ := strings.Cut(parts[5], "/")
	switch kind {
	case "foundation-model", "inference-profile", "application-inference-profile", "custom-model":
		if id == "" {
			return "", fmt.Errorf("%q names no model", arn)
		}
		return kind, nil
	}
	return "", fmt.Errorf("%q is of kind %s, which batch jobs do not accept (foundation-model, inference-profile, application-inference-profile and custom-model are)", arn, kind)
}
