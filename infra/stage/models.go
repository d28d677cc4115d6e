package stage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

// Resource is one thing that a model needs in a policy.
type Resource struct {
	// ARN is set where the stage gave a whole ARN; the other members then
	// say nothing of its text.
	ARN string
	// AnyRegion: the model behind a profile runs in the regions of the
	// profile's geography, a list that the service extends. Else it is the
	// stack's region.
	AnyRegion bool
	// Account: the resource belongs to the stack's account (profiles), not to
	// the service (foundation models).
	Account bool
	// Path is the ARN's last part, as inference-profile/us.amazon.nova-lite-v1:0.
	Path string
	// Profile: the resource is an inference profile or the model behind one.
	// Bedrock asks the role of a job for InvokeModel only for these.
	Profile bool
}

// Resources gives what the roles must be allowed to call for the models of
// the stage, in the order of the list and without repetition. The settings
// must have passed Validate.
func (s Settings) Resources() []Resource {
	var all []Resource
	for _, m := range s.Models {
		needed, err := resources(m)
		if err != nil {
			panic(fmt.Sprintf("settings were not validated: %v", err))
		}
		for _, r := range needed {
			if !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	return all
}

// resources reads one entry of the list of models. A * at the end stays at
// the end of each resource.
func resources(entry string) ([]Resource, error) {
	prefix, wild := strings.CutSuffix(entry, "*")
	if strings.ContainsRune(prefix, '*') {
		return nil, fmt.Errorf("%q: a * stands at the end or not at all", entry)
	}
	id, err := model.Parse(prefix)
	if err != nil {
		return nil, err
	}
	if wild && !known(id) {
		return nil, fmt.Errorf("%q allows too much: name the provider, with the geography before it where there is one, as anthropic.* or us.amazon.*", entry)
	}
	star := ""
	if wild {
		star = "*"
	}
	r := Resource{Path: string(id.Resource) + "/" + prefix + star}
	if strings.HasPrefix(entry, "arn:") {
		r = Resource{ARN: entry}
	}
	switch id.Resource {
	case model.ApplicationProfile:
		r.Profile, r.Account = true, r.ARN == ""
	case model.InferenceProfile:
		r.Profile, r.Account = true, r.ARN == ""
		return []Resource{r, {AnyRegion: true, Path: string(model.FoundationModel) + "/" + id.Base + star, Profile: true}}, nil
	}
	return []Resource{r}, nil
}

// known: the text before the * goes as far as a provider, so that it allows
// one provider's models at most.
func known(id model.ID) bool {
	whole, err := model.Parse("geography." + id.Provider + ".model")
	return err == nil && id.Provider != "" && whole.Geography != ""
}
