package template

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Supported is a Markdown table of the resource types and properties that are
// read, made from the code that reads them.
func Supported() string {
	var b strings.Builder
	b.WriteString("| resource type | properties with effect | taken without effect | Ref | GetAtt |\n| --- | --- | --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		k := kinds[name]
		with, without := columns(reflect.TypeOf(k.properties))
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, strings.Join(with, ", "), strings.Join(without, ", "),
			k.ref, strings.Join(slices.Sorted(maps.Keys(k.attributes)), ", "))
	}
	return b.String()
}

func columns(t reflect.Type) (with, without []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == reflect.TypeFor[noEffect]() {
			without = append(without, f.Name)
		} else {
			with = append(with, f.Name)
		}
	}
	slices.Sort(with)
	slices.Sort(without)
	return with, without
}
