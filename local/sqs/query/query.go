// Package query reads and writes AWS's query protocol: form parameters in, XML
// out. Shapes are Go structs; a field's name is its name on the wire, and the
// tag `query` tells how a list or map is written:
//
//	query:"AttributeName,flat"        AttributeName.1=...
//	(no tag, list)                    Names.member.1=...
//	query:"Attribute,flat,Name,Value" Attribute.1.Name=... Attribute.1.Value=...
//	query:"Attributes,entry,k,v"      Attributes.entry.1.k=... Attributes.entry.1.v=...
//	(no tag, map)                     Attributes.entry.1.key=... Attributes.entry.1.value=...
//
// A parameter that no field takes is an error that names it.
package query

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

type shape struct {
	name, wrapper, key, value string
}

func shapeOf(f reflect.StructField) shape {
	s := shape{name: f.Name, wrapper: "member", key: "key", value: "value"}
	if f.Type.Kind() == reflect.Map {
		s.wrapper = "entry"
	}
	if tag := f.Tag.Get("query"); tag != "" {
		parts := strings.Split(tag, ",")
		s.name = parts[0]
		if len(parts) > 1 {
			s.wrapper = parts[1]
		}
		if len(parts) > 3 {
			s.key, s.value = parts[2], parts[3]
		}
	}
	return s
}

// path of the first dot before the number.
func (s shape) path(prefix string) string {
	if s.wrapper == "flat" {
		return prefix + s.name + "."
	}
	return prefix + s.name + "." + s.wrapper + "."
}

// Decode fills the struct that into points to. Action and Version are left out.
func Decode(form url.Values, into any) error {
	d := decoder{form: form, used: map[string]bool{"Action": true, "Version": true}}
	if err := d.fields("", reflect.ValueOf(into).Elem()); err != nil {
		return err
	}
	var unknown []string
	for k := range form {
		if !d.used[k] {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return fmt.Errorf("unknown parameter %s", strings.Join(unknown, ", "))
	}
	return nil
}

type decoder struct {
	form url.Values
	used map[string]bool
}

func (d *decoder) fields(prefix string, v reflect.Value) error {
	for i := range v.NumField() {
		if err := d.value(prefix, shapeOf(v.Type().Field(i)), v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) value(prefix string, s shape, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		for n := 1; d.any(s.path(prefix) + strconv.Itoa(n)); n++ {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := d.element(s.path(prefix)+strconv.Itoa(n), e); err != nil {
				return err
			}
			v.Set(reflect.Append(v, e))
		}
		return nil
	case v.Kind() == reflect.Map:
		for n := 1; d.any(s.path(prefix) + strconv.Itoa(n)); n++ {
			at := s.path(prefix) + strconv.Itoa(n) + "."
			key, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			if err := d.element(at+s.key, key); err != nil {
				return err
			}
			if err := d.element(at+s.value, e); err != nil {
				return err
			}
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			v.SetMapIndex(key, e)
		}
		return nil
	}
	return d.element(prefix+s.name, v)
}

// any tells whether a parameter is or begins with path and a dot.
func (d *decoder) any(path string) bool {
	if d.form.Has(path) {
		return true
	}
	for k := range d.form {
		if strings.HasPrefix(k, path+".") {
			return true
		}
	}
	return false
}

// element reads what stands at exactly this path.
func (d *decoder) element(path string, v reflect.Value) error {
	if v.Kind() == reflect.Struct {
		return d.fields(path+".", v)
	}
	if !d.form.Has(path) {
		return nil
	}
	d.used[path] = true
	text := d.form.Get(path)
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("parameter %s: %q is not a whole number", path, text)
		}
		v.SetInt(n)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("parameter %s: %q is neither true nor false", path, text)
		}
		v.SetBool(b)
	case reflect.Slice: // of bytes
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("parameter %s: not base64", path)
		}
		v.SetBytes(b)
	default:
		return fmt.Errorf("parameter %s: cannot be read into %s", path, v.Type())
	}
	return nil
}

// Response renders an answer: <ActionResponse><ActionResult>...
func Response(namespace, action, requestID string, out any) []byte {
	var b strings.Builder
	b.WriteString(xml.Header)
	fmt.Fprintf(&b, "<%sResponse xmlns=\"%s\">", action, namespace)
	if out != nil {
		fmt.Fprintf(&b, "<%sResult>", action)
		encodeFields(&b, reflect.ValueOf(out))
		fmt.Fprintf(&b, "</%sResult>", action)
	}
	fmt.Fprintf(&b, "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>", requestID, action)
	return []byte(b.String())
}

// Error renders an error.
func Error(namespace, code, message, requestID string, status int) []byte {
	fault := "Sender"
	if status >= 500 {
		fault = "Receiver"
	}
	var b strings.Builder
	b.WriteString(xml.Header)
	fmt.Fprintf(&b, "<ErrorResponse xmlns=\"%s\"><Error><Type>%s</Type><Code>", namespace, fault)
	escape(&b, code)
	b.WriteString("</Code><Message>")
	escape(&b, message)
	fmt.Fprintf(&b, "</Message></Error><RequestId>%s</RequestId></ErrorResponse>", requestID)
	return []byte(b.String())
}

func escape(b *strings.Builder, s string) {
	_ = xml.EscapeText(b, []byte(s)) // a Builder never fails
}

func encodeFields(b *strings.Builder, v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	for i := range v.NumField() {
		f := v.Field(i)
		omit := strings.Contains(v.Type().Field(i).Tag.Get("json"), "omitzero")
		if f.IsZero() && (omit || f.Kind() == reflect.Pointer) {
			continue
		}
		encodeValue(b, shapeOf(v.Type().Field(i)), f)
	}
}

func encodeValue(b *strings.Builder, s shape, v reflect.Value) {
	item := func(name string, fill func()) {
		b.WriteString("<" + name + ">")
		fill()
		b.WriteString("</" + name + ">")
	}
	list := func(each func(name string)) {
		if s.wrapper == "flat" {
			each(s.name)
			return
		}
		item(s.name, func() { each(s.wrapper) })
	}
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		list(func(name string) {
			for i := range v.Len() {
				item(name, func() { encodeElement(b, v.Index(i)) })
			}
		})
	case v.Kind() == reflect.Map:
		list(func(name string) {
			keys := v.MapKeys()
			slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
			for _, k := range keys {
				item(name, func() {
					item(s.key, func() { encodeElement(b, k) })
					item(s.value, func() { encodeElement(b, v.MapIndex(k)) })
				})
			}
		})
	default:
		item(s.name, func() { encodeElement(b, v) })
	}
}

func encodeElement(b *strings.Builder, v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		encodeFields(b, v)
	case reflect.Slice:
		b.WriteString(base64.StdEncoding.EncodeToString(v.Bytes()))
	default:
		escape(b, fmt.Sprint(v.Interface()))
	}
}
