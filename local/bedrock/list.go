package bedrock

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parameters are the query parameters of a listing. Unknown ones are refused.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	query := r.URL.Query()
	for name := range query {
		if !slices.Contains(known, name) {
			return nil, invalid("The query parameter %s is not known; there are %s.", name, strings.Join(known, ", "))
		}
	}
	return query, nil
}

// page cuts a listing: maxResults from 1 to 1000, and where nextToken says.
func page[T any](query url.Values, all []T) (items []T, next string, err error) {
	size := 100
	if v := query.Get("maxResults"); v != "" {
		if size, err = strconv.Atoi(v); err != nil || size < 1 || size > 1000 {
			return nil, "", invalid("1 validation error detected: Value '%s' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and 1000", v)
		}
	}
	from := 0
	if v := query.Get("nextToken"); v != "" {
		plain, err := base64.RawURLEncoding.DecodeString(v)
		if err == nil {
			from, err = strconv.Atoi(string(plain))
		}
		if err != nil || from < 0 || len(v) > 2048 {
			return nil, "", invalid("The provided next token is not valid.")
		}
	}
	from = min(from, len(all))
	to := min(from+size, len(all))
	if to < len(all) {
		next = base64.RawURLEncoding.EncodeToString(fmt.Append(nil, to))
	}
	return all[from:to], next, nil
}

// listJobs is ListModelInvocationJobs.
func (s *Service) listJobs(ctx context.Context, r *http.Request, _ string, _ []byte) (any, error) {
	query, err := parameters(r, "submitTimeAfter", "submitTimeBefore", "statusEquals", "nameContains",
		"maxResults", "nextToken", "sortBy", "sortOrder")
	if err != nil {
		return nil, err
	}
	if err := s.allow(ctx, "bedrock:ListModelInvocationJobs", "*", nil); err != nil {
		return nil, err
	}
	keep, err := jobFilter(query)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	var found []*job
	for _, j := range s.jobs {
		if keep(j.Detail) {
			found = append(found, j)
		}
	}
	slices.SortFunc(found, func(a, b *job) int {
		if c := a.Detail.Submitted.Compare(b.Detail.Submitted.Time); c != 0 {
			return c
		}
		return a.Order - b.Order
	})
	if query.Get("sortOrder") != "Ascending" {
		slices.Reverse(found)
	}
	all := make([]detail, len(found))
	for i, j := range found {
		all[i] = j.Detail
	}
	s.mu.Unlock()
	shown, next, err := page(query, all)
	if err != nil {
		return nil, err
	}
	return listing("invocationJobSummaries", shown, next), nil
}

func listing[T any](name string, items []T, next string) map[string]any {
	answer := map[string]any{name: items}
	if next != "" {
		answer["nextToken"] = next
	}
	return answer
}

// jobFilter reads the filters of a listing.
func jobFilter(query url.Values) (func(detail) bool, error) {
	var c constraints
	if v := query.Get("statusEquals"); v != "" && !slices.Contains(statuses, Status(v)) {
		c.add(v, "statusEquals", fmt.Sprintf("Member must satisfy enum value set: %v", statuses))
	}
	name := query.Get("nameContains")
	c.text(optional(name), "nameContains", false, 63, jobName)
	if v := query.Get("sortBy"); v != "" && v != "CreationTime" {
		c.add(v, "sortBy", "Member must satisfy enum value set: [CreationTime]")
	}
	if v := query.Get("sortOrder"); v != "" && v != "Ascending" && v != "Descending" {
		c.add(v, "sortOrder", "Member must satisfy enum value set: [Ascending, Descending]")
	}
	instant := func(member string) (t time.Time) {
		if v := query.Get(member); v != "" {
			var err error
			if t, err = time.Parse(time.RFC3339, v); err != nil {
				c.add(v, member, "Member must be a timestamp as in RFC 3339")
			}
		}
		return t
	}
	after, before := instant("submitTimeAfter"), instant("submitTimeBefore")
	status := Status(query.Get("statusEquals"))
	return func(d detail) bool {
		return (status == "" || d.Status == status) &&
			strings.Contains(d.Name, name) &&
			(after.IsZero() || d.Submitted.After(after)) &&
			(before.IsZero() || d.Submitted.Before(before))
	}, c.err()
}

var statuses = []Status{Submitted, Validating, Scheduled, InProgress, Completed, PartiallyCompleted, Failed, Stopping, Stopped, Expired}
