package query_test

import (
	"encoding/xml"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/sqs/query"
)

type inner struct {
	Text  *string
	Bytes []byte
}

type shape struct {
	Name    string
	Count   *int
	Flag    bool
	Plain   []string
	Flat    []string `query:"Flat,flat"`
	Default map[string]string
	Named   map[string]inner `query:"Named,entry,Name,Value"`
	FlatMap map[string]inner `query:"Item,flat,Name,Value"`
	Nested  []inner
}

func ptr[T any](v T) *T { return &v }

func TestDecode(t *testing.T) {
	form := url.Values{
		"Action": {"X"}, "Version": {"2010"}, "Name": {"n"}, "Count": {"3"}, "Flag": {"true"},
		"Plain.member.1": {"a"}, "Plain.member.2": {"b"}, "Flat.1": {"c"},
		"Default.entry.1.key": {"k"}, "Default.entry.1.value": {"v"},
		"Named.entry.1.Name": {"m"}, "Named.entry.1.Value.Text": {"t"},
		"Item.1.Name": {"i"}, "Item.1.Value.Bytes": {"AP8="},
		"Nested.member.1.Text": {"x"},
	}
	var got shape
	if err := query.Decode(form, &got); err != nil {
		t.Fatal(err)
	}
	want := shape{
		Name: "n", Count: ptr(3), Flag: true, Plain: []string{"a", "b"}, Flat: []string{"c"}, Default: map[string]string{"k": "v"},
		Named: map[string]inner{"m": {Text: ptr("t")}}, FlatMap: map[string]inner{"i": {Bytes: []byte{0, 255}}}, Nested: []inner{{Text: ptr("x")}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct{ name, key, value, want string }{
		{"an unknown parameter", "Colour", "red", "Colour"},
		{"a list that begins at 2", "Plain.member.2", "a", "Plain.member.2"},
		{"a number that is none", "Count", "x", "Count"},
		{"a truth that is none", "Flag", "maybe", "Flag"},
		{"bytes that are not base64", "Nested.member.1.Bytes", "%", "Nested.member.1.Bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s shape
			if err := query.Decode(url.Values{c.key: {c.value}}, &s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one naming %s", err, c.want)
			}
		})
	}
}

func TestResponse(t *testing.T) {
	out := query.Response("urn:x", "Do", "id", &shape{Name: "<n>", Plain: []string{"a"}, Flat: []string{"b", "c"}, FlatMap: map[string]inner{"i": {Text: ptr("t")}}})
	if err := xml.Unmarshal(out, new(struct{ XMLName xml.Name })); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<DoResponse xmlns="urn:x"><DoResult><Name>&lt;n&gt;</Name>`, "<Plain><member>a</member></Plain>", "<Flat>b</Flat><Flat>c</Flat>",
		"<Item><Name>i</Name><Value><Text>t</Text>", "<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DoResponse>",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s lacks %s", out, want)
		}
	}
}

func TestError(t *testing.T) {
	out := string(query.Error("urn:x", "Code", "a & b", "id", 500))
	if !strings.Contains(out, "<Type>Receiver</Type><Code>Code</Code><Message>a &amp; b</Message>") {
		t.Error(out)
	}
}
