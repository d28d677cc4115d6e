package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

func (a *app) validateVerb() *cobra.Command {
	var q question
	c := &cobra.Command{
		Use:   "validate FILE",
		Short: "look what would happen to a file, offline and for nothing",
		Long: `Reads the whole file as the pipeline would and tells its format, its rows, those
that would be set aside and why, the jobs it makes, and what it may cost at the
least and at the most. No service is called. The first sheet of an Excel workbook
is converted to CSV.`,
		Args: cobra.ExactArgs(1),
	}
	q.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		spec, err := q.spec(c.Context(), a, c, args[0])
		if err != nil {
			return err
		}
		file, remove, err := a.converted(args[0])
		if err != nil {
			return err
		}
		defer remove()
		f, err := bedrockbatch.Validate(c.Context(), spec, bedrockbatch.File(file), nil)
		if err != nil {
			return err
		}
		a.forecast(f)
		if !f.Accepted {
			return &ended{pipeline.StatusRejected, fmt.Errorf("%s would be rejected: %s", args[0], f.Reason)}
		}
		return nil
	}
	return c
}

func (a *app) forecast(f *bedrockbatch.Forecast) {
	if a.json {
		a.object("forecast", f)
		return
	}
	print := func(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }
	packed := ""
	if f.Packed != "" {
		packed = ", " + f.Packed
	}
	print("format    %s%s, %d bytes", f.Format, packed, f.Bytes)
	print("rows      %d: %d can be asked, %d would be set aside", f.Rows, f.Records, f.SetAside)
	for _, b := range f.Bad {
		print("          line %d: %s: %s", b.Line, b.Code, b.Reason)
	}
	if n := f.SetAside - int64(len(f.Bad)); n > 0 {
		print("          and %d more", n)
	}
	jobs, onDemand := 0, 0
	for _, p := range f.Parts {
		if p.OnDemand {
			onDemand += p.Records
		} else {
			jobs++
		}
	}
	print("runs as   %d batch jobs, %d rows on demand", jobs, onDemand)
	print("tokens    about %d in, at most %d out", f.InputTokens, f.OutputTokens)
	if f.MostUSD != nil {
		print("cost      $%.4f (empty answers) to $%.4f (every answer at its limit, retries included)", *f.LeastUSD, *f.MostUSD)
	} else {
		print("cost      unknown: there is no price for this model")
	}
}

func (a *app) tryVerb() *cobra.Command {
	var q question
	var rows int
	c := &cobra.Command{
		Use:   "try FILE",
		Short: "answer the first rows on demand, and tell the price of the whole",
		Args:  cobra.ExactArgs(1),
	}
	q.flags(c)
	c.Flags().IntVar(&rows, "rows", 10, "how many rows, at most 99")
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx := c.Context()
		if rows < 1 || rows > 99 {
			return usage("try: --rows is %d, want 1 to 99", rows)
		}
		spec, err := q.spec(ctx, a, c, args[0])
		if err != nil {
			return err
		}
		file, remove, err := a.converted(args[0])
		if err != nil {
			return err
		}
		defer remove()
		whole, err := bedrockbatch.Validate(ctx, spec, bedrockbatch.File(file), nil)
		if err != nil {
			return err
		}
		if !whole.Accepted {
			return &ended{pipeline.StatusRejected, fmt.Errorf("%s would be rejected: %s", args[0], whole.Reason)}
		}
		client, err := a.client(ctx)
		if err != nil {
			return err
		}
		r, o, err := client.Process(ctx, spec, bedrockbatch.Head(file, spec.Workload.Format, rows), a.progress())
		if err != nil {
			return err
		}
		if err := a.finish(ctx, r, o, ""); err != nil && o.Rows.Answered == 0 {
			return err
		}
		a.rest(spec, whole, o)
		return nil
	}
	return c
}

// rest tells what the whole file would cost if its answers were like those of
// the first rows.
func (a *app) rest(spec bedrockbatch.Spec, whole *bedrockbatch.Forecast, o *bedrockbatch.Outcome) {
	if o.Rows.Answered == 0 {
		return
	}
	per := float64(whole.Records) / float64(o.Rows.Answered)
	in, out := int64(float64(o.Tokens.Input)*per), int64(float64(o.Tokens.Output)*per)
	onDemand := len(whole.Parts) == 1 && whole.Parts[0].OnDemand
	usd, known := bedrockbatch.Price(spec, onDemand, in, out)
	if a.json {
		v := map[string]any{"records": whole.Records, "inputTokens": in, "outputTokens": out}
		if known {
			v["estimatedCostUSD"] = usd
		}
		a.object("whole", v)
		return
	}
	text := "the price of this model is not known"
	if known {
		text = fmt.Sprintf("about $%.4f", usd)
	}
	a.say("the whole file, were its answers like these: %d rows, about %d + %d tokens, %s", whole.Records, in, out, text)
}
