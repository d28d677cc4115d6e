package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// TestAMissingRightIsNamedInTheLog takes one action out of a role: what is
// missing in the template fails here first, and says what it is.
func TestAMissingRightIsNamedInTheLog(t *testing.T) {
	t.Parallel()
	const account = `\d{12}`
	bucket := func(which, key string) string { return `arn:aws:s3:::` + stackName + `-` + which + `-[^/]*/` + key }
	for _, c := range []struct {
		name, role, sid, action, function, resource string
	}{
		{"reading an upload", "RoleSubmit", "ReadUploads", "s3:GetObjectVersion", "submit", bucket("in", `a\.jsonl`)},
		{"writing the submission's state", "RoleSubmit", "WriteState", "s3:PutObject", "submit", bucket("out", `(open|submissions)/`)},
		{"creating a job", "RoleSubmit", "", "bedrock:CreateModelInvocationJob", "submit", `arn:aws:bedrock:us-east-1:` + account + `:model-invocation-job/`},
		{"handing over the job's role", "RoleSubmit", "", "iam:PassRole", "submit", `arn:aws:iam::` + account + `:role/`},
		{"looking at a job", "RoleCollect", "", "bedrock:GetModelInvocationJob", "collect", `arn:aws:bedrock:us-east-1:` + account + `:model-invocation-job/`},
		{"publishing the notice", "RoleCollect", "", "sns:Publish", "collect", `arn:aws:sns:us-east-1:` + account + `:` + stackName + `-notices`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := begin(t, setup{edit: func(_ *testing.T, cl *cloud) { cl.forbid(c.role, c.sid, c.action) }})
			u.drop("a.jsonl", prompts(120))
			// User: arn:aws:sts::...:assumed-role/<role>/<session> is not authorized to perform: <action> on resource: <resource> ...
			denial := regexp.MustCompile(`"level":"(ERROR|WARN)".*` + c.role + `[^ ]* is not authorized to perform: ` + c.action + ` on resource: \W*` + c.resource)
			u.within(*patience, "denial of "+c.action, func() string {
				log := u.functionLog(t, c.function)
				if denial.MatchString(log) {
					return ""
				}
				for line := range strings.Lines(log) {
					if strings.Contains(line, "not authorized") {
						return line
					}
				}
				return "no denial is logged"
			})
			for _, n := range u.said() {
				if n.Status == "Completed" || !strings.Contains(n.Reason, c.action) {
					t.Errorf("a notice without the right says %s: %s", n.Status, n.Reason)
				}
			}
		})
	}
}
