package logs

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// What one answer holds at most.
const (
	maxEvents = 10_000
	maxBytes  = 1 << 20
	// overhead is what an event counts beside its text.
	overhead = 26
)

type describeGroupsIn struct {
	Prefix     string   `json:"logGroupNamePrefix"`
	Pattern    string   `json:"logGroupNamePattern"`
	Class      string   `json:"logGroupClass"`
	Token      string   `json:"nextToken"`
	Limit      int      `json:"limit"`
	Linked     bool     `json:"includeLinkedAccounts"`
	Accounts   []string `json:"accountIdentifiers"`
	Identifier []string `json:"logGroupIdentifiers"`
}

type groupDescription struct {
	Name     string `json:"logGroupName"`
	ARN      string `json:"arn"`
	GroupARN string `json:"logGroupArn"`
	Class    string `json:"logGroupClass"`
	Created  int64  `json:"creationTime"`
	Days     int    `json:"retentionInDays,omitzero"`
	Filters  int    `json:"metricFilterCount"`
	Bytes    int64  `json:"storedBytes"`
}

type describeGroupsOut struct {
	Groups []groupDescription `json:"logGroups"`
	Token  string             `json:"nextToken,omitzero"`
}

func (c call) describeLogGroups(in *describeGroupsIn) (*describeGroupsOut, error) {
	if err := c.may("DescribeLogGroups", ARN("*")); err != nil {
		return nil, err
	}
	switch {
	case in.Linked || len(in.Accounts) > 0:
		return nil, invalid("log groups of other accounts are not part of the local services")
	case in.Prefix != "" && in.Pattern != "":
		return nil, invalid("logGroupNamePrefix and logGroupNamePattern are mutually exclusive")
	}
	all := []groupDescription{}
	for _, g := range c.groups {
		if !strings.HasPrefix(g.Name, in.Prefix) || !strings.Contains(strings.ToLower(g.Name), strings.ToLower(in.Pattern)) ||
			in.Class != "" && in.Class != "STANDARD" ||
			len(in.Identifier) > 0 && !slices.Contains(in.Identifier, g.Name) && !slices.Contains(in.Identifier, ARN(g.Name)) {
			continue
		}
		all = append(all, groupDescription{
			Name: g.Name, ARN: ARN(g.Name) + ":*", GroupARN: ARN(g.Name), Class: "STANDARD", Created: c.cfg.Created.UnixMilli(), Days: g.Days, Bytes: g.size(),
		})
	}
	out := &describeGroupsOut{}
	var err error
	out.Groups, out.Token, err = page(all, in.Token, in.Limit, 50)
	return out, err
}

func (g Group) size() int64 {
	info, err := os.Stat(g.File)
	if err != nil {
		return 0 // nothing was logged yet
	}
	return info.Size()
}

type describeStreamsIn struct {
	Group      string `json:"logGroupName"`
	Identifier string `json:"logGroupIdentifier"`
	Prefix     string `json:"logStreamNamePrefix"`
	OrderBy    string `json:"orderBy"`
	Descending bool   `json:"descending"`
	Token      string `json:"nextToken"`
	Limit      int    `json:"limit"`
}

type streamDescription struct {
	Name    string `json:"logStreamName"`
	ARN     string `json:"arn"`
	Created int64  `json:"creationTime"`
	First   int64  `json:"firstEventTimestamp,omitzero"`
	Last    int64  `json:"lastEventTimestamp,omitzero"`
	Bytes   int64  `json:"storedBytes"`
}

type describeStreamsOut struct {
	Streams []streamDescription `json:"logStreams"`
	Token   string              `json:"nextToken,omitzero"`
}

func (c call) describeLogStreams(in *describeStreamsIn) (*describeStreamsOut, error) {
	g, err := c.group("DescribeLogStreams", in.Group, in.Identifier, "")
	if err != nil {
		return nil, err
	}
	if in.OrderBy != "" && in.OrderBy != "LogStreamName" && in.OrderBy != "LastEventTime" {
		return nil, invalid("orderBy %q is neither LogStreamName nor LastEventTime", in.OrderBy)
	}
	all := []streamDescription{}
	if g.size() > 0 && strings.HasPrefix(Stream, in.Prefix) {
		d := streamDescription{Name: Stream, ARN: ARN(g.Name) + ":log-stream:" + Stream, Created: c.cfg.Created.UnixMilli(), Bytes: g.size()}
		if err := g.events(func(e event) bool {
			d.First, d.Last = cmp.Or(d.First, e.at), e.at
			return true
		}); err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	out := &describeStreamsOut{}
	out.Streams, out.Token, err = page(all, in.Token, in.Limit, 50)
	return out, err
}

// span is a time from and to in milliseconds, to not included.
type span struct {
	From *int64 `json:"startTime"`
	To   *int64 `json:"endTime"`
}

func (s span) holds(at int64) bool {
	return (s.From == nil || at >= *s.From) && (s.To == nil || at < *s.To)
}

type getEventsIn struct {
	Group      string `json:"logGroupName"`
	Identifier string `json:"logGroupIdentifier"`
	Stream     string `json:"logStreamName"`
	Token      string `json:"nextToken"`
	Limit      int    `json:"limit"`
	FromHead   bool   `json:"startFromHead"`
	Unmask     bool   `json:"unmask"`
	Start      *int64 `json:"startTime"`
	End        *int64 `json:"endTime"`
}

type outputEvent struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
	Ingestion int64  `json:"ingestionTime"`
}

type getEventsOut struct {
	Events   []outputEvent `json:"events"`
	Forward  string        `json:"nextForwardToken"`
	Backward string        `json:"nextBackwardToken"`
}

func checkLimit(limit int) (int, error) {
	if limit < 0 || limit > maxEvents {
		return 0, invalid("limit %d: want 1 to %d", limit, maxEvents)
	}
	return cmp.Or(limit, maxEvents), nil
}

func (c call) getLogEvents(in *getEventsIn) (*getEventsOut, error) {
	g, err := c.group("GetLogEvents", in.Group, in.Identifier, in.Stream)
	if err != nil {
		return nil, err
	}
	limit, err := checkLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	if in.Stream != Stream || g.size() == 0 {
		return nil, access.Errorf("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	// A token is a place in the file, and whether to go on from or up to it.
	from, upTo, forward := int64(0), int64(-1), in.FromHead
	if in.Token != "" {
		var direction rune
		var at int64
		if _, err := fmt.Sscanf(in.Token, "%c/%d", &direction, &at); err != nil || direction != 'f' && direction != 'b' {
			return nil, invalid("The specified nextToken is invalid.")
		}
		if forward = direction == 'f'; forward {
			from = at
		} else {
			upTo = at
		}
	}
	var kept []event
	bytes, window, last := 0, span{in.Start, in.End}, from
	err = g.events(func(e event) bool {
		if e.start < from {
			return true
		}
		if upTo >= 0 && e.end > upTo {
			return false
		}
		last = e.end
		if !window.holds(e.at) {
			return true
		}
		kept, bytes = append(kept, e), bytes+len(e.message)+overhead
		if forward {
			return len(kept) < limit && bytes < maxBytes
		}
		for len(kept) > limit || bytes > maxBytes {
			bytes -= len(kept[0].message) + overhead
			kept = kept[1:]
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	out := &getEventsOut{Events: []outputEvent{}}
	begin, end := last, last
	if upTo >= 0 {
		begin, end = upTo, upTo
	}
	if len(kept) > 0 {
		begin, end = kept[0].start, kept[len(kept)-1].end
	}
	out.Forward, out.Backward = fmt.Sprintf("f/%d", end), fmt.Sprintf("b/%d", begin)
	for _, e := range kept {
		out.Events = append(out.Events, outputEvent{e.at, e.message, e.at})
	}
	return out, nil
}

type filterEventsIn struct {
	Group       string   `json:"logGroupName"`
	Identifier  string   `json:"logGroupIdentifier"`
	Streams     []string `json:"logStreamNames"`
	Prefix      string   `json:"logStreamNamePrefix"`
	Pattern     string   `json:"filterPattern"`
	Token       string   `json:"nextToken"`
	Limit       int      `json:"limit"`
	Interleaved bool     `json:"interleaved"`
	Unmask      bool     `json:"unmask"`
	Start       *int64   `json:"startTime"`
	End         *int64   `json:"endTime"`
}

type filteredEvent struct {
	Stream    string `json:"logStreamName"`
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
	Ingestion int64  `json:"ingestionTime"`
	ID        string `json:"eventId"`
}

type filterEventsOut struct {
	Events []filteredEvent `json:"events"`
	// Searched is empty in the cloud by now too.
	Searched []struct{} `json:"searchedLogStreams"`
	Token    string     `json:"nextToken,omitzero"`
}

func (c call) filterLogEvents(in *filterEventsIn) (*filterEventsOut, error) {
	g, err := c.group("FilterLogEvents", in.Group, in.Identifier, "")
	if err != nil {
		return nil, err
	}
	limit, err := checkLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	if in.Prefix != "" && len(in.Streams) > 0 {
		return nil, invalid("logStreamNamePrefix and logStreamNames are mutually exclusive")
	}
	wanted, err := parseFilter(in.Pattern)
	if err != nil {
		return nil, invalid("%v", err)
	}
	from := int64(0)
	if in.Token != "" {
		if _, err := fmt.Sscanf(in.Token, "f/%d", &from); err != nil {
			return nil, invalid("The specified nextToken is invalid.")
		}
	}
	out := &filterEventsOut{Events: []filteredEvent{}, Searched: []struct{}{}}
	if len(in.Streams) > 0 && !slices.Contains(in.Streams, Stream) || !strings.HasPrefix(Stream, in.Prefix) {
		return out, nil
	}
	bytes, window := 0, span{in.Start, in.End}
	err = g.events(func(e event) bool {
		if e.start < from || !window.holds(e.at) || !wanted(e.message) {
			return true
		}
		if len(out.Events) == limit || bytes >= maxBytes {
			out.Token = fmt.Sprintf("f/%d", e.start)
			return false
		}
		bytes += len(e.message) + overhead
		out.Events = append(out.Events, filteredEvent{Stream, e.at, e.message, e.at, fmt.Sprintf("%056d", e.start)})
		return true
	})
	return out, err
}
