package template

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func seconds(n number) time.Duration { return time.Duration(n) * time.Second }

func readBucket(s *Stack, r *resolver, id string, properties map[string]any) error {
	p, err := decode[bucketProperties](properties)
	if err != nil {
		return err
	}
	name, err := r.name(id)
	if err != nil {
		return err
	}
	b := Bucket{Name: name}
	if v := p.VersioningConfiguration; v != nil {
		if v.Status != "Enabled" && v.Status != "Suspended" {
			return fmt.Errorf("VersioningConfiguration.Status %q: want Enabled or Suspended", v.Status)
		}
		b.Versioned = v.Status == "Enabled"
	}
	if p.NotificationConfiguration != nil {
		for i, q := range p.NotificationConfiguration.QueueConfigurations {
			n := Notification{ID: fmt.Sprintf("%s-%d", id, i), Event: q.Event, QueueARN: q.Queue}
			if q.Filter != nil {
				for _, rule := range q.Filter.S3Key.Rules {
					switch strings.ToLower(rule.Name) {
					case "prefix":
						n.Prefix = rule.Value
					case "suffix":
						n.Suffix = rule.Value
					default:
						return fmt.Errorf("notification filter %q: want prefix or suffix", rule.Name)
					}
				}
			}
			b.Notifications = append(b.Notifications, n)
		}
	}
	s.Buckets = append(s.Buckets, b)
	return nil
}

func readBucketPolicy(s *Stack, _ *resolver, _ string, properties map[string]any) error {
	p, err := decode[bucketPolicyProperties](properties)
	if err != nil {
		return err
	}
	return once(s.bucketPolicies, p.Bucket, p.PolicyDocument)
}

// once refuses a second policy for one resource: the later would replace the
// earlier in the cloud, in no order that a template shows.
func once(policies map[string][]byte, name string, document []byte) error {
	if policies[name] != nil {
		return fmt.Errorf("%s has another policy already", name)
	}
	policies[name] = document
	return nil
}

func readQueue(s *Stack, r *resolver, id string, properties map[string]any) error {
	p, err := decode[queueProperties](properties)
	if err != nil {
		return err
	}
	name, err := r.name(id)
	if err != nil {
		return err
	}
	url, err := r.ref(id)
	if err != nil {
		return err
	}
	q := Queue{Name: name, ARN: kinds["AWS::SQS::Queue"].arn(name), URL: url.(string), Attributes: map[string]string{}}
	for attribute, n := range map[string]*number{
		"DelaySeconds": p.DelaySeconds, "MaximumMessageSize": p.MaximumMessageSize, "MessageRetentionPeriod": p.MessageRetentionPeriod,
		"ReceiveMessageWaitTimeSeconds": p.ReceiveMessageWaitTimeSeconds, "VisibilityTimeout": p.VisibilityTimeout,
	} {
		if n != nil {
			q.Attributes[attribute] = strconv.Itoa(int(*n))
		}
	}
	for attribute, document := range map[string]json.RawMessage{"RedrivePolicy": p.RedrivePolicy, "RedriveAllowPolicy": p.RedriveAllowPolicy} {
		if document != nil {
			q.Attributes[attribute] = string(document)
		}
	}
	s.Queues = append(s.Queues, q)
	return nil
}

func readQueuePolicy(s *Stack, _ *resolver, _ string, properties map[string]any) error {
	p, err := decode[queuePolicyProperties](properties)
	if err != nil {
		return err
	}
	for _, url := range p.Queues {
		if err := once(s.queuePolicies, url, p.PolicyDocument); err != nil {
			return err
		}
	}
	return nil
}

func readTopic(s *Stack, r *resolver, id string, properties map[string]any) error {
	p, err := decode[topicProperties](properties)
	if err != nil {
		return err
	}
	name, err := r.name(id)
	if err != nil {
		return err
	}
	t := Topic{Name: name, ARN: kinds["AWS::SNS::Topic"].arn(name), DisplayName: p.DisplayName}
	s.Topics = append(s.Topics, t)
	for _, sub := range p.Subscription {
		s.Subscriptions = append(s.Subscriptions, Subscription{TopicARN: t.ARN, Protocol: sub.Protocol, Endpoint: sub.Endpoint})
	}
	return nil
}

func readTopicPolicy(s *Stack, _ *resolver, _ string, properties map[string]any) error {
	p, err := decode[topicPolicyProperties](properties)
	if err != nil {
		return err
	}
	for _, arn := range p.Topics {
		if err := once(s.topicPolicies, arn, p.PolicyDocument); err != nil {
			return err
		}
	}
	return nil
}

func readSubscription(s *Stack, _ *resolver, _ string, properties map[string]any) error {
	p, err := decode[subscriptionProperties](properties)
	if err != nil {
		return err
	}
	sub := Subscription{TopicARN: p.TopicArn, Protocol: p.Protocol, Endpoint: p.Endpoint, Attributes: map[string]string{}}
	if p.FilterPolicy != nil {
		sub.Attributes["FilterPolicy"] = string(p.FilterPolicy)
	}
	if p.FilterPolicyScope != "" {
		sub.Attributes["FilterPolicyScope"] = p.FilterPolicyScope
	}
	if p.RawMessageDelivery != nil {
		sub.Attributes["RawMessageDelivery"] = strconv.FormatBool(bool(*p.RawMessageDelivery))
	}
	if p.RedrivePolicy != nil {
		sub.Attributes["RedrivePolicy"] = string(p.RedrivePolicy)
	}
	s.Subscriptions = append(s.Subscriptions, sub)
	return nil
}

func readFunction(s *Stack, r *resolver, id string, properties map[string]any) error {
	p, err := decode[functionProperties](properties)
	if err != nil {
		return err
	}
	name, err := r.name(id)
	if err != nil {
		return err
	}
	code, ok := strings.CutSuffix(p.Code.S3Key, ".zip")
	if !ok || code == "" || strings.ContainsAny(code, "/.") {
		return fmt.Errorf("Code.S3Key %q: want NAME.zip, where NAME is the folder of the function's program", p.Code.S3Key)
	}
	if p.Runtime != "provided.al2023" && p.Runtime != "provided.al2" {
		return fmt.Errorf("Runtime %q is not supported here (provided.al2023 is)", p.Runtime)
	}
	f := Function{
		Name: name, ARN: kinds["AWS::Lambda::Function"].arn(name), Code: code, Handler: p.Handler, RoleARN: p.Role,
		Timeout: seconds(p.Timeout), MemoryMB: int(p.MemorySize), Concurrency: int(p.ReservedConcurrentExecutions), Environment: map[string]string{},
	}
	if f.Timeout == 0 {
		f.Timeout = 3 * time.Second // Lambda's default
	}
	if p.Environment != nil {
		f.Environment = p.Environment.Variables
	}
	if p.LoggingConfig != nil {
		f.LogGroup = p.LoggingConfig.LogGroup
	}
	s.Functions = append(s.Functions, f)
	return nil
}

func readMapping(s *Stack, _ *resolver, _ string, properties map[string]any) error {
	p, err := decode[mappingProperties](properties)
	if err != nil {
		return err
	}
	m := Mapping{
		FunctionName: functionName(p.FunctionName), QueueARN: p.EventSourceArn, BatchSize: int(p.BatchSize),
		Window: seconds(p.MaximumBatchingWindowInSeconds), Disabled: p.Enabled != nil && !bool(*p.Enabled),
	}
	for _, t := range p.FunctionResponseTypes {
		if t != "ReportBatchItemFailures" {
			return fmt.Errorf("FunctionResponseTypes %q is not supported here", t)
		}
		m.ReportBatchItemFailures = true
	}
	if p.ScalingConfig != nil {
		m.MaximumConcurrency = int(p.ScalingConfig.MaximumConcurrency)
	}
	s.Mappings = append(s.Mappings, m)
	return nil
}

// functionName takes the name out of a function's ARN.
func functionName(s string) string {
	if name, ok := strings.CutPrefix(s, kinds["AWS::Lambda::Function"].arn("")); ok {
		return name
	}
	return s
}

func readInvokeConfig(s *Stack, _ *resolver, _ string, properties map[string]any) error {
	p, err := decode[invokeConfigProperties](properties)
	if err != nil {
		return err
	}
	if p.Qualifier != "" && p.Qualifier != "$LATEST" {
		return fmt.Errorf("Qualifier %q is not supported here ($LATEST is)", p.Qualifier)
	}
	i := invoke{maxAge: seconds(p.MaximumEventAgeInSeconds)}
	if p.MaximumRetryAttempts != nil {
		n := int(*p.MaximumRetryAttempts)
		i.retries = &n
	}
	if p.DestinationConfig != nil && p.DestinationConfig.OnFailure != nil {
		i.onFailure = p.DestinationConfig.OnFailure.Destination
	}
	s.invokes[functionName(p.FunctionName)] = i
	return nil
}

func readPermission(s *Stack, _ *resolver, _ string, properties map[string]any) error {
	p, err := decode[permissionProperties](properties)
	if err != nil {
		return err
	}
	name := functionName(p.FunctionName)
	s.permissions[name] = append(s.permissions[name], p)
	return nil
}

func readRole(s *Stack, r *resolver, id string, properties map[string]any) error {
	p, err := decode[roleProperties](properties)
	if err != nil {
		return err
	}
	name, err := r.name(id)
	if err != nil {
		return err
	}
	role := Role{Name: name, ARN: kinds["AWS::IAM::Role"].arn(name), Trust: p.AssumeRolePolicyDocument, Policies: map[string][]byte{}}
	for _, policy := range p.Policies {
		if err := once(role.Policies, policy.PolicyName, policy.PolicyDocument); err != nil {
			return err
		}
	}
	s.Roles = append(s.Roles, role)
	return nil
}

func readPolicy(s *Stack, _ *resolver, _ string, properties map[string]any) error {
	p, err := decode[policyProperties](properties)
	if err != nil {
		return err
	}
	for _, role := range p.Roles {
		if s.rolePolicies[role] == nil {
			s.rolePolicies[role] = map[string][]byte{}
		}
		if err := once(s.rolePolicies[role], p.PolicyName, p.PolicyDocument); err != nil {
			return err
		}
	}
	return nil
}

func readRule(s *Stack, r *resolver, id string, properties map[string]any) error {
	p, err := decode[ruleProperties](properties)
	if err != nil {
		return err
	}
	if p.EventBusName != "" && p.EventBusName != "default" {
		return fmt.Errorf("EventBusName %q: only the default bus is here", p.EventBusName)
	}
	if !slices.Contains([]string{"", "ENABLED", "DISABLED"}, p.State) {
		return fmt.Errorf("State %q is not supported here (ENABLED and DISABLED are)", p.State)
	}
	name, err := r.name(id)
	if err != nil {
		return err
	}
	rule := Rule{Name: name, Description: p.Description, Schedule: p.ScheduleExpression, Pattern: p.EventPattern, Disabled: p.State == "DISABLED"}
	for _, t := range p.Targets {
		target := Target{ID: t.Id, ARN: t.Arn, Input: t.Input, InputPath: t.InputPath}
		if t.InputTransformer != nil {
			target.Paths, target.Template = t.InputTransformer.InputPathsMap, t.InputTransformer.InputTemplate
		}
		if t.DeadLetterConfig != nil {
			target.DeadLetterARN = t.DeadLetterConfig.Arn
		}
		if t.RetryPolicy != nil {
			target.MaxAge = seconds(t.RetryPolicy.MaximumEventAgeInSeconds)
			if n := t.RetryPolicy.MaximumRetryAttempts; n != nil {
				attempts := int(*n)
				target.Attempts = &attempts
			}
		}
		rule.Targets = append(rule.Targets, target)
	}
	s.Rules = append(s.Rules, rule)
	return nil
}

func readLogGroup(s *Stack, r *resolver, id string, properties map[string]any) error {
	p, err := decode[logGroupProperties](properties)
	if err != nil {
		return err
	}
	name, err := r.name(id)
	if err != nil {
		return err
	}
	s.LogGroups = append(s.LogGroups, LogGroup{Name: name, Days: int(p.RetentionInDays)})
	return nil
}

func readDashboard(_ *Stack, _ *resolver, id string, properties map[string]any) error {
	p, err := decode[dashboardProperties](properties)
	if err != nil {
		return err
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal([]byte(p.DashboardBody), &body); err != nil {
		return fmt.Errorf("%s: DashboardBody is no JSON object: %w", id, err)
	}
	return nil
}
