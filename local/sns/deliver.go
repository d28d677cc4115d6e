package sns

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

const (
	httpLimit = 15 * time.Second
	// An endpoint is tried again three times, 20 seconds apart.
	httpRetries = 3
	httpWait    = 20 * time.Second
)

// unsigned stands where AWS's signature does: nobody but AWS can make it.
var unsigned = base64.StdEncoding.EncodeToString([]byte("not signed on one machine"))

// envelope is a message as queues, HTTP endpoints and email-json get it.
type envelope struct {
	Type              string
	MessageId         string
	Token             string `json:",omitzero"`
	TopicArn          string
	Subject           *string `json:",omitzero"`
	Message           string
	SubscribeURL      string `json:",omitzero"`
	Timestamp         string
	SignatureVersion  string
	Signature         string
	SigningCertURL    string
	UnsubscribeURL    string                       `json:",omitzero"`
	MessageAttributes map[string]envelopeAttribute `json:",omitzero"`
}

type envelopeAttribute struct{ Type, Value string }

func (s *Service) link(query url.Values) string {
	return strings.TrimSuffix(s.cfg.Endpoint, "/") + "/?" + query.Encode()
}

func (s *Service) envelope(sub *subscription, m *message) ([]byte, error) {
	e := envelope{
		Type: "Notification", MessageId: m.id, TopicArn: m.topic, Subject: m.Subject, Message: m.text(sub.protocol), Timestamp: m.time,
		SignatureVersion: "1", Signature: unsigned, SigningCertURL: strings.TrimSuffix(s.cfg.Endpoint, "/") + "/SimpleNotificationService.pem",
		UnsubscribeURL: s.link(url.Values{"Action": {"Unsubscribe"}, "SubscriptionArn": {sub.arn}}),
	}
	for name, a := range m.Attributes {
		if e.MessageAttributes == nil {
			e.MessageAttributes = map[string]envelopeAttribute{}
		}
		v := base64.StdEncoding.EncodeToString(a.BinaryValue)
		if a.StringValue != nil {
			v = *a.StringValue
		}
		e.MessageAttributes[name] = envelopeAttribute{a.DataType, v}
	}
	return json.Marshal(e)
}

// deliver brings a message to a subscription, or to its dead-letter queue.
func (s *Service) deliver(sub *subscription, m *message, from string) {
	body, err := s.envelope(sub, m)
	if err != nil {
		s.log.Error("sns: make the envelope", "subscription", sub.arn, "error", err)
		return
	}
	switch sub.protocol {
	case "sqs":
		err = s.toQueue(sub, m, body)
	case "email", "email-json":
		err = s.toMailbox(sub, m, body, from)
	case "http", "https":
		s.background.Go(func() {
			if err := s.toHTTP(sub, m, body); err != nil {
				s.undelivered(sub, body, err)
			}
		})
	}
	if err != nil {
		s.undelivered(sub, body, err)
	}
}

func (s *Service) send(sub *subscription, queueARN string, m sqs.Outgoing) error {
	_, err := s.cfg.Queues.SendAs(context.WithoutCancel(s.running), s.cfg.Authority.AsService("sns.amazonaws.com", sub.topic), queueARN, m)
	return err
}

func (s *Service) toQueue(sub *subscription, m *message, body []byte) error {
	if !sub.raw {
		return s.send(sub, sub.endpoint, sqs.Outgoing{Body: string(body)})
	}
	out := sqs.Outgoing{Body: m.text("sqs"), Attributes: map[string]sqs.Attribute{}}
	for name, a := range m.Attributes {
		out.Attributes[name] = sqs.Attribute{DataType: a.DataType, StringValue: a.StringValue, BinaryValue: a.BinaryValue}
	}
	return s.send(sub, sub.endpoint, out)
}

// undelivered sends what could not be delivered to the subscription's
// dead-letter queue, or says that it is lost.
func (s *Service) undelivered(sub *subscription, body []byte, cause error) {
	s.log.Error("sns: not delivered", "subscription", sub.arn, "protocol", sub.protocol, "endpoint", sub.endpoint, "error", cause, "deadLetters", sub.deadLetters)
	if sub.deadLetters == "" {
		return
	}
	if err := s.send(sub, sub.deadLetters, sqs.Outgoing{Body: string(body)}); err != nil {
		s.log.Error("sns: dead letter lost", "subscription", sub.arn, "queue", sub.deadLetters, "error", err)
	}
}

// toMailbox writes an e-mail as a file whose name sorts by time.
func (s *Service) toMailbox(sub *subscription, m *message, body []byte, from string) error {
	subject := "AWS Notification Message"
	if m.Subject != nil {
		subject = *m.Subject
	}
	text := m.text(sub.protocol)
	if sub.protocol == "email-json" {
		text = string(body)
	} else {
		text += "\n\n--\nIf you wish to stop receiving notifications from this topic:\n" + s.link(url.Values{"Action": {"Unsubscribe"}, "SubscriptionArn": {sub.arn}}) + "\n"
	}
	return s.writeMail(sub.endpoint, from, subject, text, m.id)
}

func (s *Service) writeMail(to, from, subject, text, id string) error {
	if s.cfg.MailDir == "" {
		return fmt.Errorf("there is no folder for e-mail")
	}
	if err := os.MkdirAll(s.cfg.MailDir, 0o755); err != nil {
		return fmt.Errorf("make the folder for e-mail: %w", err)
	}
	if from == "" {
		from = "AWS Notifications"
	}
	now := s.clock.Now()
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s <no-reply@sns.amazonaws.com>\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@sns.amazonaws.com>\r\n",
		mime.QEncoding.Encode("utf-8", from), to, mime.QEncoding.Encode("utf-8", subject), now.Format(time.RFC1123Z), id)
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	b.WriteString(strings.ReplaceAll(text, "\n", "\r\n"))
	name := now.Format("20060102T150405.000000") + "-" + id[:8] + "-" + to + ".eml"
	path := filepath.Join(s.cfg.MailDir, name)
	// Whoever watches the folder sees whole mails only.
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write e-mail: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write e-mail: %w", err)
	}
	return nil
}

func (s *Service) toHTTP(sub *subscription, m *message, body []byte) error {
	headers := map[string]string{"x-amz-sns-subscription-arn": sub.arn}
	if sub.raw {
		body = []byte(m.text(sub.protocol))
		headers["x-amz-sns-rawdelivery"] = "true"
	}
	return s.post(sub, "Notification", m.id, body, headers)
}

// post calls an HTTP endpoint until it answers with 2xx or has refused for good.
func (s *Service) post(sub *subscription, kind, id string, body []byte, headers map[string]string) error {
	for attempt := 0; ; attempt++ {
		err, again := s.postOnce(sub, kind, id, body, headers)
		if err == nil || !again || attempt == httpRetries {
			return err
		}
		if s.clock.Sleep(s.running, httpWait) != nil {
			return err // the services are stopping
		}
	}
}

func (s *Service) postOnce(sub *subscription, kind, id string, body []byte, headers map[string]string) (err error, again bool) {
	req, err := http.NewRequestWithContext(s.running, http.MethodPost, sub.endpoint, strings.NewReader(string(body)))
	if err != nil {
		return err, false
	}
	req.Header.Set("Content-Type", "text/plain; charset=UTF-8")
	req.Header.Set("User-Agent", "Amazon Simple Notification Service Agent")
	req.Header.Set("x-amz-sns-message-type", kind)
	req.Header.Set("x-amz-sns-message-id", id)
	req.Header.Set("x-amz-sns-topic-arn", sub.topic)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := s.cfg.HTTP.Do(req)
	if err != nil {
		return err, true
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	if res.StatusCode/100 == 2 {
		return nil, false
	}
	return fmt.Errorf("%s answered %s", sub.endpoint, res.Status), res.StatusCode >= 500 || res.StatusCode == 429
}

// confirm asks an endpoint or mailbox whether it wants the topic.
func (s *Service) confirm(sub *subscription) {
	link := s.link(url.Values{"Action": {"ConfirmSubscription"}, "TopicArn": {sub.topic}, "Token": {sub.token}})
	text := "You have chosen to subscribe to the topic " + sub.topic + ".\nTo confirm the subscription, visit the SubscribeURL included in this message."
	id := newID()
	switch sub.protocol {
	case "email", "email-json":
		if err := s.writeMail(sub.endpoint, "", "AWS Notification - Subscription Confirmation", text+"\n\nSubscribeURL: "+link+"\nToken: "+sub.token+"\n", id); err != nil {
			s.log.Error("sns: write the confirmation", "subscription", sub.arn, "error", err)
		}
	case "http", "https":
		body, err := json.Marshal(envelope{
			Type: "SubscriptionConfirmation", MessageId: id, Token: sub.token, TopicArn: sub.topic, Message: text, SubscribeURL: link,
			Timestamp: s.clock.Now().Format("2006-01-02T15:04:05.000Z"), SignatureVersion: "1", Signature: unsigned,
			SigningCertURL: strings.TrimSuffix(s.cfg.Endpoint, "/") + "/SimpleNotificationService.pem",
		})
		if err != nil {
			s.log.Error("sns: make the confirmation", "subscription", sub.arn, "error", err)
			return
		}
		copied := *sub
		s.background.Go(func() {
			if err := s.post(&copied, "SubscriptionConfirmation", id, body, nil); err != nil {
				s.log.Error("sns: send the confirmation", "subscription", copied.arn, "error", err)
			}
		})
	}
}
