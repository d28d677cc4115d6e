// Package bedrockruntime asks models on Amazon Bedrock one request at a time.
package bedrockruntime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// MaxAnswer is the size above which an answer is not read.
const MaxAnswer = 64 << 20

// API is the part of the SDK's client that a Model uses.
type API interface {
	InvokeModel(context.Context, *bedrockruntime.InvokeModelInput, ...func(*bedrockruntime.Options)) (*bedrockruntime.InvokeModelOutput, error)
	Converse(context.Context, *bedrockruntime.ConverseInput, ...func(*bedrockruntime.Options)) (*bedrockruntime.ConverseOutput, error)
}

// Model implements batch.Model.
type Model struct{ api API }

var _ batch.Model = (*Model)(nil)

// New makes a Model from the SDK's configuration. Only refusals that cost
// nothing (throttling) are tried again inside; a lost answer may have been
// paid for, so that whether to ask again is the caller's decision.
func New(cfg aws.Config) *Model {
	return Over(bedrockruntime.NewFromConfig(cfg, func(o *bedrockruntime.Options) {
		o.Retryer = retry.NewStandard(func(so *retry.StandardOptions) {
			so.Retryables = []retry.IsErrorRetryable{
				retry.NoRetryCanceledError{},
				retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes},
			}
		})
	}))
}

// Over makes a Model over a client.
func Over(api API) *Model { return &Model{api: api} }

// Answer implements batch.Model. The body goes out and comes back byte for
// byte, for Converse too: members that the SDK does not know survive.
func (m *Model) Answer(ctx context.Context, modelID string, how batch.Invocation, modelInput []byte) ([]byte, error) {
	switch how {
	case batch.InvokeModel:
		out, err := m.api.InvokeModel(ctx, &bedrockruntime.InvokeModelInput{
			ModelId:     &modelID,
			Body:        modelInput,
			ContentType: aws.String("application/json"),
			Accept:      aws.String("application/json"),
		})
		if err != nil {
			return nil, classified(ctx, err, "invoke model", modelID)
		}
		return out.Body, nil
	case batch.Converse:
		var answer []byte
		_, err := m.api.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: &modelID}, verbatim(modelInput, &answer))
		if err != nil {
			return nil, classified(ctx, err, "converse with", modelID)
		}
		return answer, nil
	}
	return nil, fmt.Errorf("ask %s: invocation %q is neither %s nor %s: %w", modelID, how, batch.Converse, batch.InvokeModel, batch.ErrInvalid)
}

func classified(ctx context.Context, err error, verb, modelID string) error {
	// The model's own refusal of a body comes wrapped: its status says
	// whether the record is to blame.
	var model *types.ModelErrorException
	if errors.As(err, &model) && ctx.Err() == nil {
		if s := aws.ToInt32(model.OriginalStatusCode); s >= 400 && s < 500 && s != 408 && s != 429 {
			return fmt.Errorf("%s %s: %w", verb, modelID, &batch.ServiceError{
				Class: batch.ErrInvalid, Code: model.ErrorCode(), Message: model.ErrorMessage(), Status: int(s),
			})
		}
	}
	return fault.Of(ctx, err, "%s %s", verb, modelID)
}

// verbatim lets the SDK resolve, sign, send and retry a request whose body is
// body as it is, and hands the answer's body back unread.
func verbatim(body []byte, answer *[]byte) func(*bedrockruntime.Options) {
	return func(o *bedrockruntime.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			if err := stack.Serialize.Add(middleware.SerializeMiddlewareFunc("VerbatimBody", func(
				ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler,
			) (middleware.SerializeOutput, middleware.Metadata, error) {
				req, ok := in.Request.(*smithyhttp.Request)
				if !ok {
					return middleware.SerializeOutput{}, middleware.Metadata{}, fmt.Errorf("unexpected transport %T", in.Request)
				}
				req, err := req.SetStream(bytes.NewReader(body))
				if err != nil {
					return middleware.SerializeOutput{}, middleware.Metadata{}, err
				}
				req.Header.Set("Content-Type", "application/json")
				in.Request = req
				return next.HandleSerialize(ctx, in)
			}), middleware.After); err != nil {
				return err
			}
			return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("VerbatimAnswer", func(
				ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
			) (middleware.DeserializeOutput, middleware.Metadata, error) {
				out, metadata, err := next.HandleDeserialize(ctx, in)
				if err != nil {
					return out, metadata, err
				}
				resp, ok := out.RawResponse.(*smithyhttp.Response)
				if !ok || resp.StatusCode < 200 || resp.StatusCode > 299 {
					return out, metadata, nil
				}
				read, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
				resp.Body.Close()
				// The SDK is given nothing to decode.
				resp.Body = io.NopCloser(bytes.NewReader([]byte("{}")))
				if err != nil {
					return out, metadata, fmt.Errorf("read answer: %w", err)
				}
				if len(read) > MaxAnswer {
					return out, metadata, fmt.Errorf("read answer: over %d bytes", MaxAnswer)
				}
				*answer = read
				return out, metadata, nil
			}), middleware.After)
		})
	}
}
