package main

import (
	"maps"
	"net/http"
	"slices"

	"github.com/bedrock-batch/bedrock-batch/local/cloudformation"
	"github.com/bedrock-batch/bedrock-batch/local/iam"
	"github.com/bedrock-batch/bedrock-batch/local/quotas"
	"github.com/bedrock-batch/bedrock-batch/local/sts"
)

// account makes the services that only read back what is there: the stack, its
// roles, the caller and the quotas.
func (w *world) account() map[string]http.Handler {
	now := w.clock.Now()
	stack := cloudformation.Stack{Name: w.o.stackName, Description: w.stack.Description, Template: string(w.stack.Source), Created: now}
	for _, name := range slices.Sorted(maps.Keys(w.stack.Outputs)) {
		stack.Outputs = append(stack.Outputs, cloudformation.Output{Key: name, Value: w.stack.Outputs[name], Description: w.stack.OutputTexts[name]})
	}
	for _, r := range w.stack.Declared {
		stack.Resources = append(stack.Resources, cloudformation.Resource{LogicalID: r.LogicalID, PhysicalID: r.PhysicalID, Type: r.Type})
	}
	var roles []iam.Role
	for _, r := range w.stack.Roles {
		roles = append(roles, iam.Role{Name: r.Name, ARN: r.ARN, Trust: r.Trust, Policies: r.Policies})
	}
	return map[string]http.Handler{
		"sts": sts.Handler(), "iam": iam.New(w.authority, roles, now), "cloudformation": cloudformation.New(w.authority, stack),
		"servicequotas": quotas.New(quotas.Config{Authority: w.authority, Slots: w.o.slots}),
	}
}
