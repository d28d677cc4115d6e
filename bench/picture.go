package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// panel is one diagram of the picture: both axes are logarithmic, so that what
// grows in step is a line at 45 degrees and what stays is a level one.
type panel struct {
	title, unit, by string
	curves          []curve
	value           func(point) float64
}

const (
	panelWidth, panelHeight = 300, 240
	left, right, top, foot  = 48, 12, 30, 40
)

var colours = []string{"#1f6feb", "#d1570a", "#2da44e"}

// draw writes the picture of growth.
func draw(path string, byRows []curve, dispatch curve) error {
	panels := []panel{
		{"Time", "s", "rows", byRows, func(p point) float64 { return p.seconds }},
		{"Peak memory", "MB", "rows", byRows, func(p point) float64 { return float64(p.peak) }},
		{"Requests to S3", "", "rows", byRows, func(p point) float64 { return float64(p.requests) }},
		{"One free slot: requests", "", "waiting submissions", []curve{dispatch}, func(p point) float64 { return float64(p.requests) }},
		{"One free slot: time", "s", "waiting submissions", []curve{dispatch}, func(p point) float64 { return p.seconds }},
		{"One free slot: memory", "MB", "waiting submissions", []curve{dispatch}, func(p point) float64 { return float64(p.peak) }},
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", 3*panelWidth, 2*panelHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", 3*panelWidth, 2*panelHeight)
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d,%d)">`+"\n", i%3*panelWidth, i/3*panelHeight)
		p.draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func (p panel) draw(b *strings.Builder) {
	xLow, xHigh, yLow, yHigh := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, c := range p.curves {
		for _, at := range c.points {
			x, y := math.Log10(float64(at.n)), math.Log10(max(p.value(at), 1e-3))
			xLow, xHigh, yLow, yHigh = min(xLow, x), max(xHigh, x), min(yLow, y), max(yHigh, y)
		}
	}
	yLow, yHigh = math.Floor(yLow), math.Ceil(yHigh+1e-9)
	x := func(v float64) float64 {
		return left + (v-xLow)/max(xHigh-xLow, 1)*(panelWidth-left-right)
	}
	y := func(v float64) float64 {
		return panelHeight - foot - (v-yLow)/max(yHigh-yLow, 1)*(panelHeight-foot-top)
	}
	fmt.Fprintf(b, `<text x="%d" y="18" font-weight="bold">%s</text>`+"\n", left, p.title)
	for v := yLow; v <= yHigh; v++ {
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, y(v), panelWidth-right, left-5, y(v)+4, tick(v, p.unit))
	}
	for v := math.Ceil(xLow); v <= xHigh; v++ {
		fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="#eeeeee"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(v), top, panelHeight-foot, x(v), panelHeight-foot+14, tick(v, ""))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle" fill="#555555">%s</text>`+"\n", (left+panelWidth-right)/2, panelHeight-8, p.by)
	for i, c := range p.curves {
		var path strings.Builder
		for k, at := range c.points {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(k, 1)], x(math.Log10(float64(at.n))), y(math.Log10(max(p.value(at), 1e-3))))
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%[2]s" text-anchor="end">%[5]s</text>`+"\n", path.String(), colours[i], panelWidth-right, top-12+12*i, c.name)
	}
}

func tick(exponent float64, unit string) string {
	names := map[float64]string{-3: "0.001", -2: "0.01", -1: "0.1", 0: "1", 1: "10", 2: "100", 3: "1k", 4: "10k", 5: "100k", 6: "1M", 7: "10M"}
	return strings.TrimSpace(names[exponent] + " " + unit)
}
