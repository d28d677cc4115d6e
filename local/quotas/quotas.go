// Package quotas reads Service Quotas: what Bedrock's batch inference allows
// here. The quotas' codes are this package's own; in the cloud there is one for
// each model, which cannot be derived from the model's id.
package quotas

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock/model"
)

// Authority decides on calls; *access.Authority is one.
type Authority interface {
	// Check allows the call (nil) or denies it.
	Check(ctx context.Context, call access.Call) error
}

// Config is what the service is made of.
type Config struct {
	// Authority decides on every call.
	Authority Authority
	// Slots is how many jobs an account may have at a time for a model.
	Slots int
}

// Service answers the API.
type Service struct {
	authority  Authority
	operations map[string]operation
	applied    []quota // with the account's values
	defaults   []quota
}

type operation func(in input) (any, error)

// The API's only service here.
const (
	serviceCode = "bedrock"
	serviceName = "Amazon Bedrock"
)

// defaultSlots is AWS's own value.
const defaultSlots = 20

type quota struct {
	ServiceCode, ServiceName       string
	QuotaArn, QuotaCode, QuotaName string
	Value                          float64
	Unit                           string
	Adjustable, GlobalQuota        bool
	QuotaAppliedAtLevel            string `json:",omitempty"`
	Description                    string `json:",omitempty"`
}

// New makes the service.
func New(cfg Config) *Service {
	s := &Service{authority: cfg.Authority, applied: batch(cfg.Slots), defaults: batch(defaultSlots)}
	s.operations = map[string]operation{
		"ListServices":                s.listServices,
		"ListServiceQuotas":           s.list(s.applied),
		"GetServiceQuota":             s.get(s.applied),
		"ListAWSDefaultServiceQuotas": s.list(s.defaults),
		"GetAWSDefaultServiceQuota":   s.get(s.defaults),
	}
	return s
}

// Operations lists what the service answers, sorted.
func Operations() []string { return slices.Sorted(maps.Keys(New(Config{}).operations)) }

// batch lists the quotas of all models that jobs may name, by name.
func batch(slots int) []quota {
	var all []quota
	for _, m := range model.Catalogue() {
		if !m.Batch {
			continue
		}
		for _, q := range []struct {
			name       string
			value      int64
			adjustable bool
		}{
			{"Minimum number of records per batch inference job for ", m.MinRecords, false},
			{"Records per batch inference job for ", m.MaxRecords, true},
			{"Records per input file per batch inference job for ", m.MaxRecords, true},
			{"Batch inference input file size (in GB) for ", 1, false},
			{"Batch inference job size (in GB) for ", 5, false},
			{"Sum of in-progress and submitted batch inference jobs using a base model for ", int64(slots), true},
		} {
			name := q.name + m.Name
			sum := sha256.Sum256([]byte(q.name + m.ID))
			code := "L-" + strings.ToUpper(hex.EncodeToString(sum[:4]))
			all = append(all, quota{
				ServiceCode: serviceCode, ServiceName: serviceName, QuotaCode: code, QuotaName: name,
				QuotaArn: "arn:aws:servicequotas:" + access.Region + ":" + access.Account + ":" + serviceCode + "/" + code,
				Value:    float64(q.value), Unit: "None", Adjustable: q.adjustable, QuotaAppliedAtLevel: "ACCOUNT",
				Description: name + " (" + m.ID + ")",
			})
		}
	}
	slices.SortFunc(all, func(a, b quota) int { return strings.Compare(a.QuotaName+a.QuotaCode, b.QuotaName+b.QuotaCode) })
	return all
}

// input holds the members of all operations' requests.
type input struct {
	ServiceCode, QuotaCode, NextToken string
	QuotaAppliedAtLevel, ContextId    string
	MaxResults                        int
}

// ServeHTTP answers JSON 1.1; the caller is the request's principal.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, err := s.serve(r)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err != nil {
		e := access.AsAPIError(err)
		w.Header().Set("X-Amzn-ErrorType", e.Code)
		w.WriteHeader(e.HTTPStatus())
		out = map[string]string{"__type": e.Code, "Message": e.Message, "message": e.Message}
	}
	_ = json.NewEncoder(w).Encode(out) // the client may have gone
}

func (s *Service) serve(r *http.Request) (any, error) {
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "ServiceQuotasV20190624.")
	run, ok := s.operations[name]
	if !ok {
		return nil, access.Errorf("UnknownOperationException", "Service Quotas operation %q is not part of the local services (there are: %s)",
			name, strings.Join(Operations(), ", "))
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, access.Errorf("SerializationException", "read the request: %v", err)
	}
	in := input{}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, access.Errorf("SerializationException", "read the request: %v", err)
	}
	call := access.Call{Principal: access.PrincipalFrom(r.Context()), Action: "servicequotas:" + name, Resource: "*"}
	if err := s.authority.Check(r.Context(), call); err != nil {
		return nil, err
	}
	return run(in)
}

func (s *Service) listServices(input) (any, error) {
	return map[string]any{"Services": []map[string]string{{"ServiceCode": serviceCode, "ServiceName": serviceName}}}, nil
}

func known(in input) error {
	if in.ServiceCode != serviceCode {
		return &access.APIError{Code: "NoSuchResourceException", Status: http.StatusBadRequest,
			Message: "The service " + strconv.Quote(in.ServiceCode) + " has no quotas here (" + serviceCode + " has)"}
	}
	return nil
}

func (s *Service) list(all []quota) operation {
	return func(in input) (any, error) {
		if err := known(in); err != nil {
			return nil, err
		}
		from, most := 0, in.MaxResults
		if in.NextToken != "" {
			n, err := strconv.Atoi(in.NextToken)
			if err != nil || n < 0 || n > len(all) {
				return nil, access.Errorf("InvalidPaginationTokenException", "NextToken is not from this list")
			}
			from = n
		}
		if most < 0 || most > 100 {
			return nil, access.Errorf("IllegalArgumentException", "MaxResults: want 1 to 100")
		}
		if most == 0 {
			most = 100
		}
		to := min(from+most, len(all))
		out := map[string]any{"Quotas": all[from:to]}
		if to < len(all) {
			out["NextToken"] = strconv.Itoa(to)
		}
		return out, nil
	}
}

func (s *Service) get(all []quota) operation {
	return func(in input) (any, error) {
		if err := known(in); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(q quota) bool { return q.QuotaCode == in.QuotaCode })
		if i < 0 {
			return nil, &access.APIError{Code: "NoSuchResourceException", Status: http.StatusBadRequest,
				Message: "The quota " + strconv.Quote(in.QuotaCode) + " does not exist for " + serviceCode}
		}
		return map[string]any{"Quota": all[i]}, nil
	}
}
