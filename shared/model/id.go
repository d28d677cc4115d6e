package model

import (
	"fmt"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Resource is the kind of thing a model identifier names.
type Resource string

// The kinds that a batch job can run on.
const (
	// FoundationModel is a base model, by id or ARN.
	FoundationModel Resource = "foundation-model"
	// InferenceProfile is a system-defined profile over several Regions.
	InferenceProfile Resource = "inference-profile"
	// ApplicationProfile is an account's own profile; its id says nothing
	// about the model (GetInferenceProfile does).
	ApplicationProfile Resource = "application-inference-profile"
	// CustomModel is a customised base model.
	CustomModel Resource = "custom-model"
)

// ID is what a model identifier says by itself.
type ID struct {
	// Raw is the identifier, without surrounding space.
	Raw string
	// Resource is the kind of thing it names. A bare token without a dot is
	// taken for an ApplicationProfile.
	Resource Resource
	// Geography is the label of a profile over Regions, as us or global;
	// empty for all else.
	Geography string
	// Region and Account are those of an ARN.
	Region, Account string
	// Provider is the first label of Base, as anthropic.
	Provider string
	// Base is the base model's id without geography label, as
	// amazon.nova-lite-v1:0. Empty for an ApplicationProfile.
	Base string
	// Family decides how native answers are read. Empty where the id does
	// not tell, or no family of that kind is known.
	Family Family
}

// providers are the first labels of base model ids. A label that is not among
// them but is followed by one is a geography, so that new geographies need no
// change.
var providers = map[string]bool{
	"ai21": true, "amazon": true, "anthropic": true, "cohere": true, "deepseek": true,
	"google": true, "luma": true, "meta": true, "minimax": true, "mistral": true,
	"moonshot": true, "moonshotai": true, "nvidia": true, "openai": true, "qwen": true,
	"stability": true, "twelvelabs": true, "writer": true, "zai": true,
}

// geographies are the labels seen so far; in front of a provider that is not
// known they are told from it by this list alone.
var geographies = map[string]bool{
	"apac": true, "au": true, "ca": true, "eu": true, "global": true, "in": true, "jp": true, "us": true, "us-gov": true,
}

// bareID tells a name of letters and digits, from the second character on with
// . _ : - between them. Checks that every program has in it are written out:
// compiling expressions is a part of each cold start.
func bareID(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !digit(c) && (i == 0 || c != '.' && c != '_' && c != ':' && c != '-') {
			return false
		}
	}
	return s != ""
}

func account(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return len(s) == 12
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// Parse reads a model id, an inference profile id, or the ARN of a base model,
// profile or custom model. Forms that batch jobs do not take, and text that is
// no identifier, are [batch.ErrInvalid].
func Parse(s string) (ID, error) {
	id := ID{Raw: strings.TrimSpace(s)}
	if id.Raw == "" {
		return ID{}, invalid(id.Raw, "it is empty; give a model id, an inference profile id or an ARN")
	}
	if len(id.Raw) > 2048 {
		return ID{}, invalid(id.Raw[:40]+"...", "it is longer than 2048 characters")
	}
	if strings.HasPrefix(id.Raw, "arn:") {
		return id.parseARN()
	}
	if strings.ContainsRune(id.Raw, '/') {
		return ID{}, invalid(id.Raw, "an id has no slash; give the whole ARN or the id alone")
	}
	if !bareID(id.Raw) {
		return ID{}, invalid(id.Raw, "an id holds only letters, digits and . _ : -")
	}
	if !strings.ContainsRune(id.Raw, '.') {
		id.Resource = ApplicationProfile
		return id, nil
	}
	id.setBase(id.Raw)
	id.Resource = FoundationModel
	if id.Geography != "" {
		id.Resource = InferenceProfile
	}
	return id, nil
}

func (id ID) parseARN() (ID, error) {
	f := strings.SplitN(id.Raw, ":", 6)
	if len(f) != 6 || !strings.HasPrefix(f[1], "aws") || f[2] != "bedrock" {
		return ID{}, invalid(id.Raw, "an ARN reads arn:aws:bedrock:REGION:ACCOUNT:KIND/NAME")
	}
	id.Region, id.Account = f[3], f[4]
	kind, name, ok := strings.Cut(f[5], "/")
	if !ok || name == "" {
		return ID{}, invalid(id.Raw, "its last part names nothing; it reads KIND/NAME")
	}
	if id.Region == "" {
		return ID{}, invalid(id.Raw, "it names no region")
	}
	if id.Account != "" && !account(id.Account) {
		return ID{}, invalid(id.Raw, "its account is not 12 digits")
	}
	switch Resource(kind) {
	case FoundationModel, InferenceProfile:
		id.Resource = Resource(kind)
		if !bareID(name) || !strings.ContainsRune(name, '.') {
			return ID{}, invalid(id.Raw, kind+"/ is followed by provider.model")
		}
		id.setBase(name)
	case ApplicationProfile:
		id.Resource = ApplicationProfile
		if !bareID(name) {
			return ID{}, invalid(id.Raw, "an application inference profile's id holds only letters, digits and . _ : -")
		}
	case CustomModel:
		id.Resource = CustomModel
		base, _, _ := strings.Cut(name, "/")
		if !bareID(base) || !strings.ContainsRune(base, '.') {
			return ID{}, invalid(id.Raw, "custom-model/ is followed by provider.model/ID")
		}
		id.setBase(base)
	case "imported-model", "provisioned-model", "custom-model-deployment", "prompt-router", "default-prompt-router":
		return ID{}, invalid(id.Raw, "batch jobs do not run on a "+kind+"; give a base model, an inference profile or a custom model")
	default:
		return ID{}, invalid(id.Raw, fmt.Sprintf("%q is no kind of model", kind))
	}
	return id, nil
}

// setBase splits a dotted name into geography and base model.
func (id *ID) setBase(name string) {
	first, rest, _ := strings.Cut(name, ".")
	second, _, ok := strings.Cut(rest, ".")
	// The profiles among the ARNs always have a geography.
	if ok && !providers[first] && (providers[second] || geographies[first] || id.Resource == InferenceProfile) {
		id.Geography, name, first = first, rest, second
	}
	id.Provider, id.Base = first, name
	id.Family = familyOf(first, name)
}

// QuotaKey names what the account's quota of jobs counts by: the same for a
// base model and for the profiles over it, however they are written. A custom
// model counts apart from its base. An application profile has its own key,
// since its id does not tell the model.
func (id ID) QuotaKey() string {
	switch {
	case id.Base == "":
		return id.Raw[strings.LastIndexByte(id.Raw, '/')+1:]
	case id.Resource == CustomModel:
		return "custom/" + withoutVariant(id.Base)
	}
	return withoutVariant(id.Base)
}

// withoutVariant drops what follows a second colon: amazon.titan:0:8k is a
// context-size variant of amazon.titan:0.
func withoutVariant(base string) string {
	if i := strings.IndexByte(base, ':'); i >= 0 {
		if j := strings.IndexByte(base[i+1:], ':'); j >= 0 {
			return base[:i+1+j]
		}
	}
	return base
}

func invalid(id, why string) error {
	return fmt.Errorf("model %q: %s: %w", id, why, batch.ErrInvalid)
}
