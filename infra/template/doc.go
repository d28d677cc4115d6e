// Package template is the golden template: what cdk deploy would deploy, as
// data. make synth writes it, the local services are wired from it, and the
// checks beside it need neither CDK nor Node.js. A test of the stack fails
// when it is stale.
package template
