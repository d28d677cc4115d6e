package template_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestEveryReferenceNamesAResource(t *testing.T) {
	p := load(t)
	for _, id := range slices.Sorted(maps.Keys(p.raw["Resources"].(map[string]any))) {
		whole := p.raw["Resources"].(map[string]any)[id]
		for _, ref := range append(references(t, whole), p.Resources[id].DependsOn...) {
			if _, ok := p.Resources[ref]; !ok && !strings.HasPrefix(ref, "AWS::") {
				t.Errorf("%s refers to %s, which is not in the template", id, ref)
			}
		}
	}
	for id, o := range p.Outputs {
		for _, ref := range references(t, o.Value) {
			if _, ok := p.Resources[ref]; !ok {
				t.Errorf("output %s refers to %s, which is not in the template", id, ref)
			}
		}
	}
}

func TestResourcesCanBeMadeInSomeOrder(t *testing.T) {
	p := load(t)
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(id string, path []string)
	visit = func(id string, path []string) {
		if strings.HasPrefix(id, "AWS::") || state[id] == done {
			return
		}
		path = append(path, id)
		if state[id] == visiting {
			t.Fatalf("circle: %s", strings.Join(path, " -> "))
		}
		state[id] = visiting
		r := p.Resources[id]
		for _, next := range append(references(t, r.Properties), r.DependsOn...) {
			visit(next, path)
		}
		state[id] = done
	}
	for _, id := range slices.Sorted(maps.Keys(p.Resources)) {
		visit(id, nil)
	}
}

func TestTheQueueStandsBeforeTheBucketThatNotifiesIt(t *testing.T) {
	p := load(t)
	for _, id := range p.ofType("AWS::S3::Bucket") {
		for _, c := range list(at(p.Resources[id].Properties, "NotificationConfiguration", "QueueConfigurations")) {
			queue := target(at(c, "Queue"))
			if !slices.Contains(p.Resources[id].DependsOn, queue+"Policy") {
				t.Errorf("%s notifies %s but may be made before its policy; S3 would refuse it", id, queue)
			}
			if got := at(c, "Event"); got != "s3:ObjectCreated:*" {
				t.Errorf("%s notifies of %v", id, got)
			}
		}
	}
}

func TestNothingIsMadeByHelpers(t *testing.T) {
	p := load(t)
	if got := p.ofType("AWS::Lambda::Function"); !slices.Equal(got, []string{"FunctionCollect", "FunctionSubmit"}) {
		t.Errorf("functions are %v", got)
	}
	for id, r := range p.Resources {
		if strings.HasPrefix(r.Type, "Custom::") || r.Type == "AWS::CloudFormation::CustomResource" {
			t.Errorf("%s is a %s", id, r.Type)
		}
	}
	for _, section := range []string{"Parameters", "Rules", "Conditions", "Mappings", "Transform"} {
		if p.raw[section] != nil {
			t.Errorf("the template has %s", section)
		}
	}
}

func TestEveryNameBelongsToTheDeployment(t *testing.T) {
	p := load(t)
	seen := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(p.Resources)) {
		name := p.name(t, id)
		if name == id {
			continue // CloudFormation makes one up
		}
		plain := strings.TrimPrefix(name, "/aws/lambda/")
		if !strings.HasPrefix(plain, "bedrock-batch-dev-") {
			t.Errorf("%s is called %s: a second copy would collide with it", id, name)
		}
		if p.Resources[id].Type == "AWS::S3::Bucket" && !strings.HasSuffix(name, "-"+accountID+"-"+region) {
			t.Errorf("%s is called %s: buckets share one world, so account and region belong to the name", id, name)
		}
		key := p.Resources[id].Type + " " + name
		if seen[key] != "" {
			t.Errorf("%s and %s are both called %s", id, seen[key], name)
		}
		seen[key] = id
	}
}
