// Package request reads the message by which an application asks for work
// without dropping a file: prompts inline, or an object of the input bucket,
// with settings of their own.
package request

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

const (
	// Version and Do stand in the members by which the message is known.
	Version = 1
	Do      = "request"
	// MaxMessage is the longest message in bytes: what SQS takes, less what
	// the pipeline puts around a message that it puts off.
	MaxMessage = 1<<20 - 1024
	// MaxAttributes is how many attributes a message may give its notice. With
	// the pipeline's own five an SQS subscription with raw delivery takes no
	// more than ten; what has more is not delivered at all.
	MaxAttributes = 5
	// maxValue bounds an attribute's value, so that state stays small.
	maxValue = 1024
)

// Request is what an application asks for. Either Prompts or S3URI is set.
type Request struct {
	// ID is the application's name for the request: however often it is sent,
	// it is one submission. Empty: that of the queue's message.
	ID string
	// Prompts are rows as they stand in a file of JSON lines.
	Prompts []jsontext.Value
	// Bucket, Key and Version are the object whose rows are asked for; without
	// a version the one that is there when the request is taken up.
	Bucket, Key, Version string
	// Settings are merged over the deployment's default and, for an object,
	// over the workload.yaml files of its folders.
	Settings workload.Workload
	// Attributes are the notice's, for filter policies and for whoever waits.
	Attributes map[string]string
}

// members of the message, in the order in which they are documented.
var members = []string{"bedrock-batch", "do", "id", "prompts", "s3Uri", "version", "workload", "attributes"}

// name is compiled when the first message comes: so many repetitions would be
// a tenth of a cold start.
var name = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@=+-]{0,127}$`) })

// ID is the application's id in a message, empty if it has none that can be
// used. It is read by itself, so that a message that is refused is still known
// when it comes again.
func ID(body []byte) string {
	var m struct {
		ID jsontext.Value `json:"id"`
	}
	var id string
	if json.Unmarshal(body, &m, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil || json.Unmarshal(m.ID, &id) != nil || !name().MatchString(id) {
		return ""
	}
	return id
}

// Parse reads a message strictly. The error says all that is wrong, in words
// for whoever sent it; what could be read is returned beside it.
func Parse(body []byte) (Request, error) {
	var r Request
	if len(body) > MaxMessage {
		return r, fmt.Errorf("the message has %d bytes, the limit is %d; put the rows into the input bucket and name them by s3Uri", len(body), MaxMessage)
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(body, &all); err != nil {
		return r, fmt.Errorf("the message is not read as JSON: %s", cause(err))
	}
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	names := make([]string, 0, len(all))
	for key := range all {
		names = append(names, key)
	}
	slices.Sort(names)
	for _, key := range names {
		if !slices.Contains(members, key) {
			say("%.60q is no member of a request; known are %s", key, strings.Join(members[2:], ", "))
		}
	}
	text := func(key string) string {
		var s string
		if value := all[key]; value != nil && (value.Kind() != '"' || json.Unmarshal(value, &s) != nil) {
			say("%s is not text", key)
		}
		return s
	}
	// The attributes first: a rejection carries them too.
	if value := all["attributes"]; value != nil {
		r.Attributes = attributes(value, say)
	}
	if r.ID = text("id"); all["id"] != nil && !name().MatchString(r.ID) {
		say("id has 1 to 128 letters, digits and . _ : @ = + - and begins with a letter or digit")
		r.ID = ""
	}
	if uri, version := text("s3Uri"), text("version"); all["s3Uri"] != nil {
		rest, ok := strings.CutPrefix(uri, "s3://")
		bucket, key, _ := strings.Cut(rest, "/")
		if !ok || bucket == "" || key == "" {
			say("s3Uri %.200q is not s3://bucket/key", uri)
		}
		r.Bucket, r.Key, r.Version = bucket, key, version
	} else if all["version"] != nil {
		say("version is an object's and stands beside s3Uri")
	}
	if value := all["prompts"]; value != nil {
		if err := json.Unmarshal(value, &r.Prompts); err != nil || value.Kind() != '[' {
			say("prompts is not a list of rows")
		} else if len(r.Prompts) == 0 {
			say("prompts holds no rows")
		}
	}
	if (all["prompts"] != nil) == (all["s3Uri"] != nil) {
		say("either prompts or s3Uri says what is asked")
	}
	if value := all["workload"]; value != nil {
		r.Settings = settings(value, all["prompts"] != nil, say)
	}
	if len(wrong) > 0 {
		return r, fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return r, nil
}

func attributes(value jsontext.Value, say func(string, ...any)) map[string]string {
	w, err := workload.ParseJSON([]byte(`{"notice":{"attributes":` + string(value) + `}}`))
	if err != nil {
		say("attributes: %v", err)
		return nil
	}
	if w.Notice == nil {
		return nil
	}
	if len(w.Notice.Attributes) > MaxAttributes {
		say("attributes: %d are too many, %d are taken", len(w.Notice.Attributes), MaxAttributes)
		return nil
	}
	for key, v := range w.Notice.Attributes {
		if len(v) > maxValue {
			say("attributes.%s has more than %d bytes", key, maxValue)
			return nil
		}
	}
	return w.Notice.Attributes
}

// settings reads the workload and refuses what has no meaning in a request.
func settings(value jsontext.Value, inline bool, say func(string, ...any)) workload.Workload {
	w, err := workload.ParseJSON(value)
	if err != nil {
		say("workload: %v", err)
	}
	if w.TemplateFile != "" {
		say("workload: prompt_template_file stands beside a %s; give the text as prompt_template", workload.FileName)
	}
	if w.Gather != nil {
		say("workload: gather is for folders; a request is one submission")
	}
	if inline && w.Format != "" && !w.Format.Lines() {
		say("workload: format %q is none of JSON rows, and prompts are", w.Format)
	}
	return w
}

// cause is the innermost text of a JSON error, which quotes no content.
func cause(err error) string {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%v at byte %d", syntax.Err, syntax.ByteOffset)
	}
	return "it is no object"
}
