package sns

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// savedTopic is a topic at rest, with the subscriptions made over the API: the
// template declares its own again at each start.
type savedTopic struct {
	Name          string              `json:"name"`
	Attributes    map[string]string   `json:"attributes,omitzero"`
	Tags          map[string]string   `json:"tags,omitzero"`
	Subscriptions []savedSubscription `json:"subscriptions,omitzero"`
}

type savedSubscription struct {
	ARN        string            `json:"arn"`
	Protocol   string            `json:"protocol"`
	Endpoint   string            `json:"endpoint"`
	Confirmed  bool              `json:"confirmed"`
	MustSign   bool              `json:"mustSign,omitzero"`
	Token      string            `json:"token"`
	Attributes map[string]string `json:"attributes,omitzero"`
}

func (s *Service) file() string { return filepath.Join(s.cfg.Dir, "topics.json") }

// save writes what there is; s.mu is held.
func (s *Service) save() error {
	if s.cfg.Dir == "" {
		return nil
	}
	var all []savedTopic
	for _, arn := range slices.Sorted(maps.Keys(s.topics)) {
		t := s.topics[arn]
		st := savedTopic{Name: t.name, Attributes: t.attributes, Tags: t.tags}
		for _, sub := range t.subs {
			if !sub.declared {
				st.Subscriptions = append(st.Subscriptions, savedSubscription{sub.arn, sub.protocol, sub.endpoint, sub.confirmed, sub.mustSign, sub.token, sub.attributes})
			}
		}
		all = append(all, st)
	}
	b, err := json.Marshal(all, jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("sns: save topics: %w", err)
	}
	if err := os.WriteFile(s.file()+".new", b, 0o644); err != nil {
		return fmt.Errorf("sns: save topics: %w", err)
	}
	if err := os.Rename(s.file()+".new", s.file()); err != nil {
		return fmt.Errorf("sns: save topics: %w", err)
	}
	return nil
}

func (s *Service) load() error {
	b, err := os.ReadFile(s.file())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sns: load topics: %w", err)
	}
	var all []savedTopic
	if err := json.Unmarshal(b, &all, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("sns: load topics: %s: %w (remove the file to forget topics and subscriptions made by hand)", s.file(), err)
	}
	for _, st := range all {
		t := newTopic(st.Name)
		if err := t.set(st.Attributes); err != nil {
			return fmt.Errorf("sns: load topic %s: %w", st.Name, err)
		}
		maps.Copy(t.tags, st.Tags)
		for _, ss := range st.Subscriptions {
			sub := &subscription{arn: ss.ARN, topic: t.arn(), protocol: ss.Protocol, endpoint: ss.Endpoint, confirmed: ss.Confirmed, mustSign: ss.MustSign, token: ss.Token}
			if err := sub.set(ss.Attributes); err != nil {
				return fmt.Errorf("sns: load subscription %s: %w", ss.ARN, err)
			}
			t.subs = append(t.subs, sub)
		}
		s.topics[t.arn()] = t
	}
	return nil
}
