package bedrock

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock/model"
)

// converse is Bedrock Runtime's Converse.
func (s *Service) converse(ctx context.Context, _ *http.Request, id string, body []byte) (any, error) {
	return s.ask(ctx, id, body, true)
}

// invoke is Bedrock Runtime's InvokeModel.
func (s *Service) invoke(ctx context.Context, _ *http.Request, id string, body []byte) (any, error) {
	return s.ask(ctx, id, body, false)
}

// ask answers one call with the same model as jobs.
func (s *Service) ask(ctx context.Context, id string, body []byte, converse bool) (any, error) {
	t, err := s.resolve(id)
	if err != nil {
		return nil, err
	}
	for _, resource := range append([]string{t.arn}, t.behind...) {
		if err := s.allow(ctx, "bedrock:InvokeModel", resource, nil); err != nil {
			return nil, err
		}
	}
	together, done, err := s.think(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	result, err := s.cfg.Answers.Answer(ctx, model.Request{Model: t.base, Converse: converse, Body: body})
	var refusal *model.Error
	if errors.As(err, &refusal) {
		return nil, &access.APIError{Code: refusal.Code, Status: refusal.Status, Message: refusal.Message}
	}
	if err != nil {
		return nil, err
	}
	if err := s.buy(id, body, together); err != nil {
		return nil, err
	}
	return rawJSON{body: result.Body, headers: map[string]string{
		"X-Amzn-Bedrock-Invocation-Latency": "200",
		"X-Amzn-Bedrock-Input-Token-Count":  fmt.Sprint(result.InputTokens),
		"X-Amzn-Bedrock-Output-Token-Count": fmt.Sprint(result.OutputTokens),
	}}, nil
}
